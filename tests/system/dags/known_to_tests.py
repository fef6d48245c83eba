"""What the files beside this one do, as far as the tests need to know it; to be imported on every version."""

# waiting.py
WAITING_CONN_ID = "moengage_waiting"

# a_thousand.py
NAMES_PER_RUN = 30
NAMES_INTERVAL = 4
# Every ten seconds, ten are well below the 100 gets a minute that a workspace has.
IDS = [f"{number:024x}" for number in range(10)]
IDS_INTERVAL = 10

# planted_key.py
PLANTED_CONN_ID = "moengage_planted_key"
NAME = "camp diwali 2026"
AWAITED_ID = "a" * 24
REFUSED_ID = "b" * 24
REFUSED_UPDATE_ID = "c" * 24

# Of the DAGs about callbacks.
CALLBACK_CONN_ID = "calls_back"
CALLBACK_WORKSPACE = "CALLBACKWORKSPACE"
FILLED_ID = "63d8cec0c085939e6c1ab72a"
RELAYED_NONCE = "5e" * 16
RELAYED_FILES = ("6f" * 16, "7a" * 16)
