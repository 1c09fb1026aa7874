from service._generated.supervisor.v1.observer_pb2 import WatchJobsResponse
from service.api.job_messages import message_of
from service.api.watch_messages import EncodedJobs, watch_message
from service.observe.watching import Message
from tests.support.samples import a_job


def test_a_message_is_what_protobuf_would_have_made_of_it() -> None:
    jobs, encoded = (
        [a_job(str(number), identifier="é" * number) for number in range(3)],
        EncodedJobs(),
    )
    told = Message("snapshot", "a.1.b", [encoded.of(job) for job in jobs], complete=True)
    expected = WatchJobsResponse(
        kind="snapshot", resume_token="a.1.b", complete=True, jobs=map(message_of, jobs)
    )
    assert expected == WatchJobsResponse.FromString(watch_message(told))
    assert WatchJobsResponse() == WatchJobsResponse.FromString(watch_message(Message("", "")))  # type: ignore[arg-type]


def test_a_job_is_encoded_once_and_each_of_its_states_anew() -> None:
    encoded, job = EncodedJobs(), a_job()
    assert encoded.of(job) is encoded.of(job)
    assert encoded.of(job) == encoded.of(a_job())
    assert encoded.of(job) != encoded.of(a_job(identifier="other"))


def test_what_is_kept_has_a_limit_and_the_oldest_goes_first() -> None:
    jobs = [a_job(str(number)) for number in range(10)]
    size = len(EncodedJobs().of(jobs[0]))
    encoded = EncodedJobs(most_bytes=3 * size)
    first = [encoded.of(job) for job in jobs]
    assert jobs[7:] == [job for job, _ in encoded._kept.values()]
    assert first == [encoded.of(job) for job in jobs]


def test_a_job_beyond_the_limit_is_encoded_all_the_same() -> None:
    encoded = EncodedJobs(most_bytes=1)
    assert encoded.of(a_job()) == EncodedJobs().of(a_job())
    assert not encoded._kept
