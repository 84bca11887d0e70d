"""An object of S3 that is sent while it is being written."""

import hashlib
import io
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from etl.errors import StageFailed

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

PIECE_BYTES = 8 * 2**20
"""S3 takes pieces of 5 MB at least, and 10,000 of them."""
SENDING = 2
"""Pieces on their way; who has written more than that waits."""


class Upload(io.RawIOBase):
    """A context: the object is there after it, and whole, or not at all.

    Not pyarrow's stream to S3, which on an error leaves the object as far as it has come. Raises
    what boto3 raises, and StageFailed when the bucket has another number of bytes than were sent.
    """

    def __init__(self, s3: "S3Client", bucket: str, key: str) -> None:
        self._s3 = s3
        self._place: dict[str, Any] = {"Bucket": bucket, "Key": key}
        self._held = bytearray()
        self._hash = hashlib.sha256()
        self._size = 0
        self._upload: str | None = None
        self._sent: list[Future[dict[str, Any]]] = []
        self._thread = ThreadPoolExecutor(SENDING, "upload")

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        """The bytes written so far."""
        return self._size

    @property
    def sha256(self) -> str:
        """Of the bytes written so far."""
        return self._hash.hexdigest()

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._hash.update(view)
        self._held += view
        self._size += len(view)
        if len(self._held) >= PIECE_BYTES:
            self._send()
        return len(view)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._complete()
        finally:
            self._thread.shutdown(cancel_futures=True)
            self._abort()
            self.close()

    def _send(self) -> None:
        if self._upload is None:
            self._upload = self._s3.create_multipart_upload(**self._place)["UploadId"]
        if len(self._sent) >= SENDING:
            self._sent[-SENDING].result()
        piece, self._held = bytes(self._held), bytearray()
        self._sent.append(self._thread.submit(self._send_piece, len(self._sent) + 1, piece))

    def _send_piece(self, number: int, piece: bytes) -> dict[str, Any]:
        answer = self._s3.upload_part(
            **self._place, UploadId=self._upload or "", PartNumber=number, Body=piece
        )
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def _complete(self) -> None:
        if self._upload is None:
            self._s3.put_object(**self._place, Body=bytes(self._held))
        else:
            if self._held:
                self._send()
            pieces: Any = [piece.result() for piece in self._sent]
            self._s3.complete_multipart_upload(
                **self._place, UploadId=self._upload, MultipartUpload={"Parts": pieces}
            )
        self._upload = None
        stored = self._s3.head_object(**self._place)["ContentLength"]
        if stored != self._size:
            raise StageFailed(f"A staged part has {stored:,} bytes where {self._size:,} were sent.")

    def _abort(self) -> None:
        """Throw away what was sent, unless it is an object by now."""
        # Where that fails too, what is there goes with the folder.
        with suppress(BotoCoreError, ClientError):
            if self._upload is not None:
                self._s3.abort_multipart_upload(**self._place, UploadId=self._upload)
