"""Reads the manifests and holds them against the schemas of Kubernetes. The tests call it.

manifests.py load FILE...      prints {FILE: [document, ...]} as JSON
manifests.py check VERSION...  reads a list of documents as JSON, and prints for each one the first error, or null
"""

import json
import sys

import kubernetes_validate
import yaml


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML takes the last one silently."""

    def construct_mapping(self, node, deep=False):
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        doubles = {name for name in names if names.count(name) > 1}
        if doubles:
            raise yaml.constructor.ConstructorError(None, None, f"duplicate keys {sorted(doubles)}", node.start_mark)
        return super().construct_mapping(node, deep)


def load(file):
    with open(file, encoding="utf-8") as text:
        return list(yaml.load_all(text, Loader=StrictLoader))


def first_error(document, versions):
    for version in versions:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError, KeyError) as error:
            return f"{version}: {getattr(error, 'message', error)}"
    return None


mode, *args = sys.argv[1:]
if mode == "load":
    json.dump({file: load(file) for file in args}, sys.stdout)
else:
    json.dump([first_error(document, args) for document in json.load(sys.stdin)], sys.stdout)
