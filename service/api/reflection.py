"""Server reflection: v1, which newer clients ask for first, beside v1alpha.

grpcio-reflection 1.85 has v1alpha alone. The two are the same but for the name of the package
(https://github.com/grpc/grpc/blob/master/src/proto/grpc/reflection/v1/reflection.proto), so one
servicer answers both, and v1 is described by v1alpha's description under its own name.
"""

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import (
    DESCRIPTOR,
    ServerReflectionRequest,
    ServerReflectionResponse,
)

_METHOD = "ServerReflectionInfo"


def add_reflection(services: Sequence[str], server: Any) -> None:
    """Describe these services, and reflection itself, to the clients of a server."""
    ours = tuple(reflection.SERVICE_NAME.replace("v1alpha", v) for v in ("v1", "v1alpha"))
    _describe_v1()
    servicer = reflection.aio.ReflectionServicer((*services, *ours))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=ServerReflectionRequest.FromString,
        response_serializer=ServerReflectionResponse.SerializeToString,
    )
    for name in ours:
        server.add_registered_method_handlers(name, {_METHOD: handler})


def _describe_v1() -> None:
    described = FileDescriptorProto()
    DESCRIPTOR.CopyToProto(described)
    text = json_format.MessageToJson(described).replace("v1alpha", "v1")
    descriptor_pool.Default().Add(json_format.Parse(text, FileDescriptorProto()))
