"""What stands between the package and the Python process it runs in, its terminal and other servers.

Catches our own faults (`faults.py`), keeps locks and tables right after a fork (`fork.py`), identifies the thread and
task that code runs in (`execution_context.py`), runs functions inside a scope (`scopes.py`), changes the methods of one
object (`own_class.py`), imports the names of a package on first use (`lazy_names.py`) and makes values that exporters
can encode (`encodable.py`). Says how text that others wrote is printed (`untrusted_text.py`) and where the credentials
of an address go (`addresses.py`). Imports nothing else of the package. Open `faults.py` first.
"""
