"""A client that knows no .proto file: the server's reflection tells it all, as it tells grpcurl."""

from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)


class ReflectingClient:
    """Describes what a server offers, and calls it by names and in JSON."""

    def __init__(self, channel: grpc.Channel, version: str = "v1alpha") -> None:
        self._channel = channel
        asking: Any = _Asking(channel, version)
        self._database = ProtoReflectionDescriptorDatabase(asking)
        self._pool = DescriptorPool(self._database)

    def services(self) -> list[str]:
        """The names of all services, sorted."""
        return sorted(self._database.get_services())

    def methods(self, service: str) -> list[str]:
        """The methods of a service, sorted, much as a .proto file has them."""
        return sorted(
            f"{method.name}({method.input_type.full_name}) returns {method.output_type.full_name}"
            for method in self._pool.FindServiceByName(service).methods
        )

    def fields(self, message: str) -> list[str]:
        """The fields of a message, as a .proto file has them."""
        found = self._pool.FindMessageTypeByName(message).fields
        return [f"{_type(field)} {field.name} = {field.number}" for field in found]

    def call(self, method: str, request: str = "{}") -> Any:
        """Call SERVICE/METHOD with a request in JSON; the answer, without fields that are unset."""
        service, _, name = method.partition("/")
        described = self._pool.FindServiceByName(service).FindMethodByName(name)
        request_class = GetMessageClass(described.input_type)
        call = self._channel.unary_unary(
            f"/{method}",
            request_serializer=request_class.SerializeToString,
            response_deserializer=GetMessageClass(described.output_type).FromString,
        )
        return json_format.MessageToDict(
            call(json_format.Parse(request, request_class()), timeout=60)
        )


class _Asking:
    """A channel for reflection of another version: grpcio's client knows v1alpha alone."""

    def __init__(self, channel: grpc.Channel, version: str) -> None:
        self._channel, self._version = channel, version

    def stream_stream(self, method: str, *args: Any, **options: Any) -> Any:
        """As a channel has it."""
        asked = method.replace("v1alpha", self._version)
        return self._channel.stream_stream(asked, *args, **options)


def _type(field: FieldDescriptor) -> str:
    if field.message_type:
        name = field.message_type.full_name
    else:
        name = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()  # type: ignore[arg-type]
    return f"repeated {name}" if field.is_repeated else name
