//! Reads metadata from a folder for the TUF client.
//!
//! `tough`'s own file transport follows links and would wait for ever on a pipe. What lies on a medium is not to be
//! trusted before it is verified, so here only regular files directly in the folder are read.

use crate::artifact_file::{OpenFailure, open_regular};
use futures_core::Stream;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use tough::{Bytes, Transport, TransportError, TransportErrorKind, TransportStream, async_trait};
use url::Url;

/// Bytes read at once. Metadata is a few kilobytes; `tough` stops the stream at its limits.
const CHUNK: usize = 64 * 1024;

/// Serves the files of one folder by the last part of the URL.
#[derive(Debug, Clone)]
pub(crate) struct DirectoryTransport {
    /// The metadata folder.
    pub dir: PathBuf,
}

#[async_trait]
impl Transport for DirectoryTransport {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let name = url
            .path_segments()
            .and_then(|mut s| s.next_back())
            .unwrap_or_default();
        // Names are made by the TUF client from roles and versions; anything else is not looked up.
        let plain = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-' || b == b'_');
        if !plain || name.starts_with('.') {
            return Err(TransportError::new(TransportErrorKind::FileNotFound, url));
        }
        match open_regular(&self.dir.join(name)) {
            Ok((file, _)) => Ok(Box::pin(FileStream {
                file,
                url,
                done: false,
            })),
            Err(OpenFailure::Missing) => {
                Err(TransportError::new(TransportErrorKind::FileNotFound, url))
            }
            Err(OpenFailure::NotRegular(found)) => Err(TransportError::new_with_cause(
                TransportErrorKind::Other,
                url,
                format!("it is a {found}, not a regular file"),
            )),
            Err(OpenFailure::Io(e)) => Err(TransportError::new_with_cause(
                TransportErrorKind::Other,
                url,
                e,
            )),
        }
    }
}

/// A file as a stream of chunks. Reading blocks, which is as well on a runtime that does nothing else.
struct FileStream {
    file: File,
    url: Url,
    done: bool,
}

impl Stream for FileStream {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        let mut chunk = vec![0; CHUNK];
        match self.file.read(&mut chunk) {
            Ok(0) => {
                self.done = true;
                Poll::Ready(None)
            }
            Ok(n) => {
                chunk.truncate(n);
                Poll::Ready(Some(Ok(chunk.into())))
            }
            Err(e) => {
                self.done = true;
                let error = TransportError::new_with_cause(TransportErrorKind::Other, &self.url, e);
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}
