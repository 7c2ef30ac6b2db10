"""The declined requests as they are kept: the map, the texts that are there, the body again.

Segments are kept once, compressed, under the hash of their content. A stored request is its map, in chunks that requests share
(see ``proxy.chunks``), and its skeleton: literal bytes and segment keys in order, which joined give the request again.
"""

import zstandard

from proxy import chunks
from proxy.database import DatabaseFile, StoreError
from proxy.packed import unzstd
from schemas.records import Segment


class Requests(DatabaseFile):
    """Reads the requests in one database file. Every method raises StoreError where the database is at fault."""

    def segments(self, refusal_id: str) -> list[Segment]:
        """The map of the request, in order; empty where nothing is known of it."""
        return self._request(refusal_id).segments

    def content(self, key: str) -> bytes:
        """The JSON of a segment. Raises StoreError when it was not kept."""
        rows = self.rows("select zstd from segments where key = ?", [key])
        if not rows:
            raise _not_kept(key)
        return self._unzstd(rows[0]["zstd"])

    def texts(self, refusal_id: str) -> dict[str, bytes]:
        """The JSON of those segments of a request that were kept, by their keys."""
        sql = """
            select key, zstd from segments where id in (
                select segment_id from chunk_segments join maps using (chunk_id) where refusal_id = ?)
        """
        return {row["key"]: self._unzstd(row["zstd"]) for row in self.rows(sql, [refusal_id])}

    def skeleton(self, refusal_id: str) -> list[bytes | str] | None:
        """The request in order, literal bytes and segment keys; None when it was not kept."""
        if not self.rows("select 1 from requests where refusal_id = ? and whole", [refusal_id]):
            return None
        return self._request(refusal_id).skeleton

    def body(self, refusal_id: str) -> bytes:
        """The request that was declined. Raises StoreError when it was not kept."""
        skeleton = self.skeleton(refusal_id)
        if skeleton is None:
            raise StoreError(f'the request of {refusal_id} is not stored: [capture] content may have been "none"')
        texts = self.texts(refusal_id)
        for part in skeleton:
            if isinstance(part, str) and part not in texts:
                raise _not_kept(part)
        return b"".join(texts[part] if isinstance(part, str) else part for part in skeleton)

    def _request(self, refusal_id: str) -> chunks.Request:
        sql = "select items from maps join chunks on chunks.id = chunk_id where refusal_id = ? order by n"
        blobs = [row["items"] for row in self.rows(sql, [refusal_id])]
        new = self.rows("select new from requests where refusal_id = ?", [refusal_id])
        try:
            return chunks.read(blobs, new[0]["new"] if new else None)
        except chunks.DAMAGED as error:
            raise self._damaged(error) from error

    def _unzstd(self, blob: bytes) -> bytes:
        try:
            return unzstd(blob)
        except zstandard.ZstdError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> StoreError:
        return StoreError(f"{self.path} is damaged ({error}): `demur db verify` tells more")


def _not_kept(key: str) -> StoreError:
    return StoreError(f'the text of segment {key} is not stored: [capture] content may have been "none"')
