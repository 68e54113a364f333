"""Provider names: from the frameworks' spellings to the conventions' `gen_ai.provider.name`."""

_NAMES = {
    "amazon_bedrock": "aws.bedrock",
    "aws": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "azure-openai": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "openai-codex": "openai",
    "openai_like": "openai",
    "google_genai": "gcp.gemini",
    "google": "gcp.gemini",
    "gemini": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "google_anthropic_vertex": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
    "ibm": "ibm.watsonx.ai",
    "watsonx": "ibm.watsonx.ai",
    "moonshot": "moonshot_ai",
}
"""The frameworks' names of providers that the conventions (`gen_ai.provider.name`) name differently."""


def provider_name(name: str | None) -> str | None:
    """Returns the conventions' name of a provider; any other in lower case, because the enum is open."""
    return None if not name else _NAMES.get(name.lower(), name.lower())
