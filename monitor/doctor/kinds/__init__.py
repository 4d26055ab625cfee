"""All kinds of trouble by name, in the order in which one causes the next. One more is a function in a file
here, a line in KINDS, and a test.

A function takes the Visit and returns a Trouble, what is Fine, what could not be looked at (or raises it as
NotLookedError), or None where another kind tells.
"""

from __future__ import annotations

from monitor.doctor.kinds import clocks, cors, signing, tls, tokens, way
from monitor.doctor.model import Area, Kind

KINDS: dict[str, Kind] = {
    "dns": Kind(Area.WAY, "the name has no address", way.name),
    "refused": Kind(Area.WAY, "nothing listens there", way.refused),
    "firewall": Kind(Area.WAY, "the connection is swallowed", way.filtered),
    "cut-off": Kind(Area.WAY, "the connection is closed without an answer", way.cut_off),
    "hangs": Kind(Area.WAY, "it accepts connections and answers nothing", way.hangs),
    "no-tls": Kind(Area.WAY, "no TLS is spoken there", tls.no_tls),
    "certificate-expired": Kind(Area.WAY, "the certificate is out of date", tls.expired),
    "certificate-name": Kind(Area.WAY, "the certificate is for another name", tls.other_name),
    "certificate-issuer": Kind(Area.WAY, "nobody known vouches for the certificate", tls.unknown_issuer),
    "tls-version": Kind(Area.WAY, "only old TLS is spoken", tls.old_version),
    "tls": Kind(Area.WAY, "the TLS handshake fails", tls.other_failure),
    "certificate-ends": Kind(Area.WAY, "the certificate ends soon", tls.ends_soon),
    "cors-mixed": Kind(Area.CORS, "an https page asks by http", cors.mixed_content),
    "cors-slash": Kind(Area.CORS, "the origin is configured with a slash", cors.slash),
    "cors-scheme": Kind(Area.CORS, "the origin is configured with the other scheme", cors.scheme),
    "cors-www": Kind(Area.CORS, "the origin is configured with the other host (www.)", cors.www),
    "cors-missing": Kind(Area.CORS, "the frontend's origin is kept out", cors.missing),
    "cors-options": Kind(Area.CORS, "somebody else answers OPTIONS", cors.options_elsewhere),
    "cors-redirect": Kind(Area.CORS, "OPTIONS is redirected", cors.redirected),
    "cors-methods": Kind(Area.CORS, "a method is not allowed", cors.methods),
    "cors-headers": Kind(Area.CORS, "the Authorization header is not allowed", cors.headers),
    "cors-twice": Kind(Area.CORS, "the CORS header is there twice", cors.twice),
    "cors-errors": Kind(Area.CORS, "errors come without CORS headers", cors.errors_without),
    "cors-everybody": Kind(Area.CORS, "every origin is let in", cors.everybody),
    "clock": Kind(Area.JWT, "clocks here and there differ", clocks.here),
    "clock-instances": Kind(Area.JWT, "clocks of instances differ", clocks.instances),
    "token-garbled": Kind(Area.JWT, "the token is no JWT", tokens.garbled),
    "token-algorithm": Kind(Area.JWT, "the token is signed otherwise", tokens.algorithm),
    "token-expired": Kind(Area.JWT, "the token has expired", tokens.expired),
    "token-not-yet": Kind(Area.JWT, "the token is not good yet", tokens.not_yet),
    "token-lifetime": Kind(Area.JWT, "tokens have another life than documented", tokens.lifetime),
    "log-in": Kind(Area.JWT, "the log-in is refused", signing.log_in),
    "secrets-differ": Kind(Area.JWT, "instances have different JWT secrets", signing.secrets_differ),
    "fresh-token": Kind(Area.JWT, "a fresh token is refused", signing.fresh_refused),
    "token-refused": Kind(Area.JWT, "the token is refused", signing.refused),
    "clock-signer": Kind(Area.JWT, "whoever signs tokens has another time", clocks.signer),
}
