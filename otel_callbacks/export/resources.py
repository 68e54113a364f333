"""Removes credentials from the resource: what the environment and the application say about the process."""

from opentelemetry.sdk.resources import Resource

from otel_callbacks.privacy.allowance import Allowance
from otel_callbacks.privacy.json_values import JsonConverter
from otel_callbacks.privacy.redactor import Redactor

_redactor = Redactor((), ())


def without_secrets(resource: Resource) -> Resource:
    """Returns a resource without the credentials that its attributes hold; the same one if they hold none."""
    cleaned = JsonConverter(_redactor, Allowance()).convert(dict(resource.attributes))
    same = {
        name: tuple(value) if isinstance(value, list) else value for name, value in cleaned.items()
    } == resource.attributes
    return resource if same else Resource(cleaned, resource.schema_url)
