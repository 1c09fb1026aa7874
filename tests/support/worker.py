"""The image that most tests run: busybox with a worker that does what its parameters say."""

import docker

from examples import images

IMAGE = "supervisor-test-worker"
# An image whose program is not there.
BROKEN = "supervisor-test-broken"
# What a worker says that ignores SIGTERM from then on.
DEAF = b"deaf\n"
_BASE = "supervisor-test-busybox"

# It prints its arguments, as a careless worker would; then --after SECONDS (a wait), --exit CODE,
# --signal NAME (sends it to itself, as an abort does), --leave CODE (at SIGTERM), --stubborn 1
# (ignores SIGTERM, and says `deaf`), --say TEXT, --complain TEXT (to its standard error),
# --when-ready TEXT (says it, and is sorted after most of the others), --show-auth 1 (says its
# credentials, if they are no argument) and --eat 1 (all the memory it can get) do what they say;
# without --exit it waits.
# What eats at once may be gone before containerd watches its memory: then nobody is told why
# (containerd issue 8180).
_SCRIPT = r"""
for argument in "$@"; do echo "argument: $argument"; done
echo "traceparent: $TRACEPARENT"
code= file=
while [ $# -gt 0 ]; do
    case "$1" in
        --after) /bin/busybox sleep "$2"; shift ;;
        --exit) code=$2; shift ;;
        --say|--when-ready) echo "$2"; shift ;;
        --complain) echo "$2" >&2; shift ;;
        --signal) /bin/busybox kill -s "$2" $$; shift ;;
        --leave) trap "exit $2" TERM; shift ;;
        --stubborn) trap '' TERM; echo deaf; shift ;;
        --auth-file) file=$2; shift ;;
        --show-auth) echo "auth: $AREA_AUTH$([ -z "$file" ] || /bin/busybox cat "$file")"; shift ;;
        --eat) s=xxxxxxxxxxxxxxxx; while :; do s=$s$s; done ;;
    esac
    shift
done
[ -n "$code" ] && exit "$code"
while :; do /bin/busybox sleep 1; done
"""


def make(client: docker.DockerClient) -> None:
    """Make the image on an engine."""
    images.import_busybox(client, _BASE)
    program = ["/bin/busybox", "sh", "-c", _SCRIPT, "worker"]
    for image, entrypoint in ((IMAGE, program), (BROKEN, ["/nope"])):
        container = client.containers.create(_BASE, entrypoint=entrypoint, command=[])
        container.commit(image)
        container.remove()


def variant(client: docker.DockerClient, image: str, *changes: str, of: str = IMAGE) -> str:
    """Make an image of another one with instructions of a Dockerfile; its name."""
    container = client.containers.create(of)
    container.commit(image, changes=list(changes))
    container.remove(v=True)
    return image
