"""The differences between the official client's results and hubfs's that are right."""


def normalise(value):
    """Removes what may differ, each with its reason."""
    if isinstance(value, dict):
        return {k: normalise(v) for k, v in value.items() if not allowed(k, v)}
    if isinstance(value, list):
        return [normalise(v) for v in value]
    if isinstance(value, str) and value.endswith("+00:00"):
        # Python writes UTC as an offset and microseconds; the Hub, and hubfs, Z and milliseconds.
        return value.removesuffix("+00:00").removesuffix("000").removesuffix(".000") + "Z"
    if isinstance(value, str) and value.endswith(".000Z"):
        return value.removesuffix(".000Z") + "Z"
    return value


def allowed(key, value):
    # An attribute that the Hub didn't send is null in Python; whether a release declares it at all depends on its age.
    if value is None:
        return True
    # Aliases that 0.27.1 keeps for still older programs.
    return key in ("rfilename", "lastCommit", "lastModified", "cardData", "transformersInfo")
