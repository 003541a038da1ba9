"""How the model server runs: `gunicorn --config gunicorn.conf.py` in this folder.

SIGHUP to the master puts a new model.pkl in service: the master imported scikit-learn already and only forks, so the
new worker reads its pickle and answers within a fraction of a second while requests wait in the listening socket.
"""

import os

# One core per worker. Set before numpy and scikit-learn are imported; it also keeps OpenMP out of the master, whose
# threads would not survive the fork.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sklearn.ensemble  # noqa: F401  - so that the workers do not each import it

bind = os.environ.get("BIND", "127.0.0.1:8000")
wsgi_app = "serve:create_app()"
worker_class = "gthread"
workers = 1
threads = 4
keepalive = 75
graceful_timeout = 10
control_socket_disable = True
