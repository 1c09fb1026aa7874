"""The messages of watches. A job is encoded once for all watches that send it."""

from service._generated.supervisor.v1.observer_pb2 import WatchJobsResponse
from service.api.job_messages import message_of
from service.jobs.model import Job
from service.observe.watching import Message

# Some 40,000 jobs in their states.
_MOST_BYTES = 16 * 2**20


class EncodedJobs:
    """Encodes jobs, and keeps the newest results up to a size."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        # By the identity of the job, which is kept, too. A job never changes, and comparing two of
        # them would take longer.
        self._kept: dict[int, tuple[Job, bytes]] = {}

    def of(self, job: Job) -> bytes:
        """An encoded message with this job alone."""
        if kept := self._kept.get(id(job)):
            return kept[1]
        encoded = WatchJobsResponse(jobs=[message_of(job)]).SerializeToString()
        self._kept[id(job)] = job, encoded
        self._bytes += len(encoded)
        while self._bytes > self._most_bytes:
            _, oldest = self._kept.pop(next(iter(self._kept)))
            self._bytes -= len(oldest)
        return encoded


def watch_message(message: Message) -> bytes:
    """An encoded message. Joined encodings are one message, which has the jobs of all of them."""
    own = WatchJobsResponse(
        resume_token=message.token, kind=message.kind, complete=message.complete
    )
    return own.SerializeToString() + b"".join(message.jobs)
