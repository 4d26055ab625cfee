"""YAML that people read: keys in the order given, text of several lines as blocks, no aliases."""

from __future__ import annotations

import yaml


def readable_yaml(content: object) -> str:
    text: str = yaml.dump(content, Dumper=_Readable, sort_keys=False, allow_unicode=True, width=1000)
    return text


class _Readable(yaml.SafeDumper):
    def ignore_aliases(self, _data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)
