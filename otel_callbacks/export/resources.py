"""Removes credentials from the resource: what the environment and the application say about the process."""

from opentelemetry.sdk.resources import Resource

from otel_callbacks.privacy.allowance import Allowance
from otel_callbacks.privacy.json_values import JsonConverter
from otel_callbacks.privacy.redactor import Redactor

_redactor = Redactor((), ())


class ResourceCleaner:
    """Returns resources without credentials, each cleaned once: telemetry comes with the same one again and again.

    The resource is the application's if its provider is.
    """

    def __init__(self) -> None:
        self._last = Resource.get_empty(), Resource.get_empty()  # the last one, and it without credentials

    def __call__(self, resource: Resource) -> Resource:
        """Returns a resource without the credentials that it holds; the same one if it holds none."""
        given, cleaned = self._last
        if resource is not given:
            cleaned = without_secrets(resource)
            self._last = resource, cleaned
        return cleaned


def without_secrets(resource: Resource) -> Resource:
    """Returns a resource without the credentials that its attributes hold; the same one if they hold none."""
    cleaned = JsonConverter(_redactor, Allowance()).convert(dict(resource.attributes))
    same = {
        name: tuple(value) if isinstance(value, list) else value for name, value in cleaned.items()
    } == resource.attributes
    return resource if same else Resource(cleaned, resource.schema_url)
