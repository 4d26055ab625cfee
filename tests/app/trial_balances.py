"""Files for `schemathesis` to upload (its hooks file): real trial balances, nearly real ones, and noise."""

from __future__ import annotations

from decimal import Decimal

import schemathesis
from hypothesis import strategies as st

accounts = st.from_regex(r"[1-9][0-9]{3} [A-Za-z][A-Za-z &]{0,20}", fullmatch=True)
money = st.decimals(0, Decimal("999999999.99"), places=2).map(str)
amounts = money | st.sampled_from(["", "-", "(12.50)", "NaN"])
lines = st.tuples(accounts, amounts, amounts).map(",".join)
tables = st.lists(lines, min_size=1, max_size=20).map(lambda rows: "\n".join(["Account,Debit,Credit", *rows]))
balanced = st.just(b"Account,Debit,Credit\n1000 Cash,100.00,\n4000 Sales,,100.00\n")

schemathesis.openapi.format("binary", balanced | tables.map(str.encode) | st.binary(max_size=500))
