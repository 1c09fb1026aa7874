"""Server reflection: v1, which newer clients try first, and v1alpha.

grpcio-reflection 1.85 has v1alpha only. The two differ only in the name of the package
(https://github.com/grpc/grpc/blob/master/src/proto/grpc/reflection/v1/reflection.proto). So one
servicer answers both, and the descriptor of v1 is that of v1alpha with the other name.
"""

from collections.abc import AsyncIterator, Iterable
from functools import partial
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

from service.api.services import Closing, GrpcService, OneQueue

_METHOD = "ServerReflectionInfo"
_NAMES = tuple(reflection.SERVICE_NAME.replace("v1alpha", v) for v in ("v1", "v1alpha"))


def reflection_services(described: Iterable[str]) -> list[GrpcService]:
    """The reflection services. They describe these services and themselves."""
    _describe_v1()
    servicer: Any = reflection.aio.ReflectionServicer((*described, *_NAMES))
    closing = Closing()

    async def describe(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        until_closed = closing.until_closed(requests)
        async for response in servicer.ServerReflectionInfo(until_closed, context):
            yield response

    handler = grpc.stream_stream_rpc_method_handler(
        describe,
        request_deserializer=ServerReflectionRequest.FromString,
        response_serializer=ServerReflectionResponse.SerializeToString,
    )
    pool = descriptor_pool.Default()
    return [
        GrpcService(
            pool.FindServiceByName(name),
            partial(_add, name, handler),
            traced=False,
            follows_readiness=False,
            close=closing.close,
        )
        for name in _NAMES
    ]


def _add(name: str, handler: Any, server: Any) -> None:
    OneQueue(server).add_registered_method_handlers(name, {_METHOD: handler})


def _describe_v1() -> None:
    described = FileDescriptorProto()
    DESCRIPTOR.CopyToProto(described)
    text = json_format.MessageToJson(described).replace("v1alpha", "v1")
    descriptor_pool.Default().Add(json_format.Parse(text, FileDescriptorProto()))
