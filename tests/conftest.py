import os

# Before anything imports the runtime: it would start a thread that sends usage data to its makers.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # noqa: TID251 - for the runtime in this process
