use std::collections::VecDeque;
use std::path::PathBuf;

use bytes::Bytes;
use reqwest::Client;
use walkdir::WalkDir;

use crate::stream::Stream;
use crate::{FrameError, read_picture};

/// A picture and where it came from.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The file's path, or the stream's URL.
    pub name: String,
    /// The picture, as the source encoded it.
    pub bytes: Bytes,
}

/// The frames of several sources, one source after the other.
pub struct Frames {
    client: Client,
    limit: usize,
    sources: VecDeque<String>,
    files: VecDeque<PathBuf>,
    stream: Option<Stream>,
}

impl Frames {
    /// Returns the frames of these sources, each of at most `limit` bytes. A source is a picture file, a folder, whose files
    /// come by name and with those of its subfolders, or an http(s) URL that streams JPEGs (`multipart/x-mixed-replace`).
    #[must_use]
    pub fn open(sources: &[String], client: Client, limit: usize) -> Self {
        Self { client, limit, sources: sources.iter().cloned().collect(), files: VecDeque::new(), stream: None }
    }

    /// Returns the next frame, or `None` after the last. Of a stream that is always the newest frame: those that came since
    /// the last call are dropped.
    ///
    /// # Errors
    /// [`FrameError`]. The next call goes on with the next file or source.
    pub async fn next(&mut self) -> Option<Result<Frame, FrameError>> {
        loop {
            if let Some(stream) = &mut self.stream {
                if let Some(bytes) = stream.newest().await {
                    return Some(Ok(Frame { name: stream.url().to_owned(), bytes }));
                }
                if let Err(error) = self.stream.take()?.end().await {
                    return Some(Err(error));
                }
            }
            if let Some(path) = self.files.pop_front() {
                return Some(read(path, self.limit).await);
            }
            let source = self.sources.pop_front()?;
            if source.starts_with("http://") || source.starts_with("https://") {
                self.stream = Some(Stream::open(self.client.clone(), source, self.limit));
            } else {
                match list(&source) {
                    Ok(files) => self.files = files,
                    Err(cause) => return Some(Err(FrameError::Unreadable { path: source, cause: cause.into() })),
                }
            }
        }
    }
}

fn list(source: &str) -> Result<VecDeque<PathBuf>, walkdir::Error> {
    let entries: Vec<_> =
        WalkDir::new(source).follow_links(true).sort_by_file_name().into_iter().collect::<Result<_, _>>()?;
    Ok(entries.into_iter().filter(|e| e.file_type().is_file()).map(walkdir::DirEntry::into_path).collect())
}

async fn read(path: PathBuf, limit: usize) -> Result<Frame, FrameError> {
    let name = path.display().to_string();
    match tokio::task::spawn_blocking(move || read_picture(&path, limit)).await {
        Ok(Ok(bytes)) => Ok(Frame { name, bytes }),
        Ok(Err(cause)) => Err(FrameError::File { file: name, cause }),
        Err(panic) => Err(FrameError::Unreadable { path: name, cause: panic.into() }),
    }
}
