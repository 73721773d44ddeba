//! Where frames come from.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use reqwest::Client;
use reqwest::header::CONTENT_LENGTH;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use walkdir::WalkDir;

use crate::photo;

/// The largest frame of a stream, as large as any picture that the server takes.
const MAX_FRAME: u64 = attendance_vision::MAX_BYTES as u64;
/// The longest first line of a stream, which is its delimiter.
const MAX_DELIMITER: usize = 256;
/// A stream that is silent for this long is broken.
const SILENCE: Duration = Duration::from_secs(15);

/// A picture and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

/// The frames of several sources, one after the other.
pub(super) struct Frames {
    client: Client,
    sources: VecDeque<String>,
    files: VecDeque<PathBuf>,
    stream: Option<Stream>,
}

impl Frames {
    pub(super) fn open(sources: &[String], client: Client) -> Self {
        Self { client, sources: sources.iter().cloned().collect(), files: VecDeque::new(), stream: None }
    }

    /// The next frame, of a stream always the newest; `None` after the last.
    pub(super) async fn next(&mut self) -> Option<Result<Frame>> {
        loop {
            if let Some(stream) = &mut self.stream {
                match stream.newest().await {
                    Some(frame) => return Some(Ok(frame)),
                    None => match self.stream.take()?.reading.await {
                        Ok(Ok(())) => continue,
                        Ok(Err(error)) => return Some(Err(error)),
                        Err(panic) => return Some(Err(panic.into())),
                    },
                }
            }
            if let Some(path) = self.files.pop_front() {
                return Some(read(path).await);
            }
            let source = self.sources.pop_front()?;
            if source.starts_with("http://") || source.starts_with("https://") {
                self.stream = Some(Stream::open(self.client.clone(), source));
            } else {
                let walk = WalkDir::new(&source).follow_links(true).sort_by_file_name().into_iter();
                let listed: Result<Vec<_>, _> = walk.collect();
                match listed.with_context(|| format!("{source} cannot be read")) {
                    Ok(entries) => self.files.extend(
                        entries.into_iter().filter(|e| e.file_type().is_file()).map(walkdir::DirEntry::into_path),
                    ),
                    Err(error) => return Some(Err(error)),
                }
            }
        }
    }
}

async fn read(path: PathBuf) -> Result<Frame> {
    let name = path.display().to_string();
    let bytes = tokio::task::spawn_blocking(move || photo::read(&path)).await?;
    Ok(Frame { bytes: bytes.with_context(|| name.clone())?, name })
}

/// A stream of JPEGs (`multipart/x-mixed-replace`). A task reads it, so that a frame which is posted slowly is followed
/// by the newest one, not by a backlog.
struct Stream {
    newest: watch::Receiver<Option<Frame>>,
    reading: JoinHandle<Result<()>>,
}

impl Stream {
    fn open(client: Client, url: String) -> Self {
        let (sender, newest) = watch::channel(None);
        Self { newest, reading: tokio::spawn(read_stream(client, url, sender)) }
    }

    async fn newest(&mut self) -> Option<Frame> {
        self.newest.changed().await.ok()?;
        self.newest.borrow_and_update().clone()
    }
}

async fn read_stream(client: Client, url: String, frames: watch::Sender<Option<Frame>>) -> Result<()> {
    let response = client.get(&url).send().await.with_context(|| format!("{url} does not answer"))?;
    let response = response.error_for_status().with_context(|| format!("{url} cannot be watched"))?;
    let mut body = response.bytes_stream();
    // Cameras differ on whether the header's boundary includes the dashes; the stream's first line is the delimiter.
    let mut head = Vec::new();
    let boundary = loop {
        if let Some(line) = first_line(&head) {
            break line;
        }
        match body.next().await {
            Some(chunk) if head.len() <= MAX_DELIMITER => head.extend(chunk?),
            _ => bail!("{url} is no stream of JPEGs: it does not begin with a delimiter line"),
        }
    };
    let rest = futures_util::stream::once(std::future::ready(Ok(Bytes::from(head)))).chain(body);
    let limits = multer::SizeLimit::new().per_field(MAX_FRAME);
    let mut parts = multer::Multipart::with_constraints(rest, boundary, multer::Constraints::new().size_limit(limits));
    loop {
        let part = tokio::time::timeout(SILENCE, parts.next_field());
        let Some(part) = part.await.with_context(|| format!("{url} fell silent"))?? else { return Ok(()) };
        let bytes =
            tokio::time::timeout(SILENCE, whole(part)).await.with_context(|| format!("{url} fell silent"))??;
        if frames.send(Some(Frame { name: url.clone(), bytes })).is_err() {
            return Ok(());
        }
    }
}

/// The part's picture. Where the part says how long it is, it is whole as soon as that much has come: the delimiter that ends
/// it comes with the next frame only.
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

/// The delimiter without its dashes, once the first line that is not empty is complete.
fn first_line(head: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(&head[..head.len().min(MAX_DELIMITER)]).ok();
    // What follows the first line may be picture bytes.
    let text = text.map_or_else(|| String::from_utf8_lossy(head).into_owned(), str::to_owned);
    let (line, _) = text.trim_start_matches(['\r', '\n']).split_once('\n')?;
    line.trim_end().strip_prefix("--").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use futures_util::stream;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    /// A camera that sends these bytes and goes when the sender does.
    async fn camera() -> (String, mpsc::UnboundedSender<Vec<u8>>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let body = stream::unfold(receiver, async |mut receiver: mpsc::UnboundedReceiver<Vec<u8>>| {
            Some((Ok::<_, std::io::Error>(receiver.recv().await?), receiver))
        });
        let body = Arc::new(Mutex::new(Some(Body::from_stream(body))));
        let video = move || std::future::ready(body.lock().expect("nobody panics").take().expect("it is watched once"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let app = Router::new().route("/", get(video));
        tokio::spawn(async move { axum::serve(listener, app).await });
        (url, sender)
    }

    #[tokio::test]
    async fn a_frame_that_says_its_length_is_had_before_the_next_one_begins() {
        let (url, sender) = camera().await;
        let mut frames = Frames::open(&[url], Client::new());
        // In pieces, and with line ends that could begin a delimiter.
        let pictures: [&[u8]; 3] = [b"\xff\xd8 one \xff\xd9", b"two\r\n--ca\r\xff\xd9", b"three \r\xff\xd9"];
        for picture in pictures {
            sender.send(format!("--cam\r\nContent-Length: {}\r\n\r\n", picture.len()).into()).unwrap();
            let (begin, end) = picture.split_at(picture.len() / 2);
            sender.send(begin.into()).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            sender.send(end.into()).unwrap();
            // A frame that came late would be an error: the camera is silent until this one is had.
            assert_eq!(frames.next().await.unwrap().unwrap().bytes, picture);
            sender.send(b"\r\n".into()).unwrap();
        }
        // Without a length the next delimiter ends a frame.
        sender.send(b"--cam\r\nContent-Type: image/jpeg\r\n\r\nfour\r\n--cam--\r\n".into()).unwrap();
        assert_eq!(frames.next().await.unwrap().unwrap().bytes, &b"four"[..]);
        drop(sender);
        assert!(frames.next().await.is_none());
    }
}
