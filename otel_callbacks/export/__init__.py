"""The way out: how finished spans, events and metrics reach a back end without the application ever waiting for it."""
