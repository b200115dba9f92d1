import socket
from urllib.request import urlopen

from django.test import SimpleTestCase

from django_prodserver.test import running


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ProductionTests(SimpleTestCase):
    """The production processes, with the database and broker of the pipeline."""

    def test_all_processes_become_ready_work_together_and_stop(self):
        address = f"127.0.0.1:{free_port()}"
        with running(env={"BIND": address}) as site:
            with urlopen(f"http://{address}/") as page:
                self.assertIn(b"Hello from the worker", page.read())

            self.assertEqual(site.stop(), 0)
