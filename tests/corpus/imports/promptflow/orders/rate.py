from promptflow.core import log_metric, tool


@tool
def rate(kinds: list):
    log_metric("parcels", kinds.count("parcel"))
