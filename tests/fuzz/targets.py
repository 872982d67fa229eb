"""All targets."""

from tests.fuzz import binary_targets, import_targets, json_targets, model_targets, request_targets

TARGETS = (
    *json_targets.TARGETS,
    *binary_targets.TARGETS,
    *model_targets.TARGETS,
    *request_targets.TARGETS,
    *import_targets.TARGETS,
)
