use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use reqwest::Client;
use reqwest::header::CONTENT_LENGTH;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::FrameError;

/// The longest first line of a stream, which is its delimiter, in bytes.
const MAX_DELIMITER: usize = 256;
/// A stream that is silent for this long is broken.
const SILENCE: Duration = Duration::from_secs(15);

/// A stream of JPEGs (`multipart/x-mixed-replace`). A task reads it, so that a slowly posted frame is followed by the newest
/// one and not by a backlog.
pub(crate) struct Stream {
    url: String,
    newest: watch::Receiver<Option<Bytes>>,
    reading: JoinHandle<Result<(), FrameError>>,
}

impl Stream {
    /// Begins to read the stream. A frame has at most `limit` bytes.
    pub(crate) fn open(client: Client, url: String, limit: usize) -> Self {
        let (sender, newest) = watch::channel(None);
        let reading = tokio::spawn(read(client, url.clone(), limit, sender));
        Self { url, newest, reading }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the newest frame that this has not returned before, or `None` once the stream has ended.
    pub(crate) async fn newest(&mut self) -> Option<Bytes> {
        self.newest.changed().await.ok()?;
        self.newest.borrow_and_update().clone()
    }

    /// Returns how a stream ended that has no further frame.
    pub(crate) async fn end(self) -> Result<(), FrameError> {
        let Self { url, reading, .. } = self;
        reading.await.unwrap_or_else(|panic| Err(FrameError::Broken { url, cause: panic.into() }))
    }
}

async fn read(
    client: Client,
    url: String,
    limit: usize,
    frames: watch::Sender<Option<Bytes>>,
) -> Result<(), FrameError> {
    let broken = |cause: multer::Error| FrameError::Broken { url: url.clone(), cause: cause.into() };
    let silent = |_| FrameError::Silent { url: url.clone() };
    let response = client.get(&url).send().await;
    let response = response.map_err(|e| FrameError::NoAnswer { url: url.clone(), cause: e.into() })?;
    let response = response.error_for_status();
    let response = response.map_err(|e| FrameError::Refused { url: url.clone(), cause: e.into() })?;
    let mut body = response.bytes_stream();
    // Cameras differ on whether the header's boundary includes the dashes; the stream's first line is the delimiter.
    let mut head = Vec::new();
    let boundary = loop {
        if let Some(line) = first_line(&head) {
            break line;
        }
        match body.next().await {
            Some(chunk) if head.len() <= MAX_DELIMITER => {
                head.extend(chunk.map_err(|e| FrameError::Broken { url: url.clone(), cause: e.into() })?);
            }
            _ => return Err(FrameError::NotAStream { url }),
        }
    };
    let rest = futures_util::stream::once(std::future::ready(Ok(Bytes::from(head)))).chain(body);
    let limits = multer::SizeLimit::new().per_field(limit as u64);
    let mut parts = multer::Multipart::with_constraints(rest, boundary, multer::Constraints::new().size_limit(limits));
    loop {
        let part = timeout(SILENCE, parts.next_field()).await.map_err(silent)?.map_err(broken)?;
        let Some(part) = part else { return Ok(()) };
        let bytes = timeout(SILENCE, whole(part)).await.map_err(silent)?.map_err(broken)?;
        if frames.send(Some(bytes)).is_err() {
            return Ok(());
        }
    }
}

/// Returns the part's picture. If the part gives its length, the picture is whole as soon as that much has come: the
/// delimiter that ends it comes only with the next frame.
async fn whole(mut part: multer::Field<'_>) -> Result<Bytes, multer::Error> {
    let length = part.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse().ok());
    let mut bytes = BytesMut::new();
    while length.is_none_or(|length: usize| bytes.len() < length) {
        let Some(chunk) = part.chunk().await? else { break };
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(length.unwrap_or(usize::MAX));
    Ok(bytes.freeze())
}

/// Returns the delimiter without its dashes, once the first line that is not empty is complete.
fn first_line(head: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(&head[..head.len().min(MAX_DELIMITER)]).ok();
    // What follows the first line may be picture bytes.
    let text = text.map_or_else(|| String::from_utf8_lossy(head).into_owned(), str::to_owned);
    let (line, _) = text.trim_start_matches(['\r', '\n']).split_once('\n')?;
    line.trim_end().strip_prefix("--").map(str::to_owned)
}
