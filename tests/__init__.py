"""The tests. Their apps, also those in other processes, keep their journals in one folder."""

import atexit
import os
import shutil
import tempfile

_VARIABLE = "EVENTTRACK_TEST_JOURNALS"


def _make_journals() -> str:
    folder = tempfile.mkdtemp(prefix="eventtrack-tests-")
    os.environ[_VARIABLE] = folder
    creator = os.getpid()

    @atexit.register
    def remove() -> None:
        if os.getpid() == creator:  # not in a fork
            shutil.rmtree(folder, ignore_errors=True)

    return folder


JOURNALS = os.environ.get(_VARIABLE) or _make_journals()
