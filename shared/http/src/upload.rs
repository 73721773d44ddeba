use std::sync::Arc;
use std::time::Duration;

use attendance::ports::ScanError;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header;
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{ApiError, Code};

/// Room for the other fields and the form's own lines, beside the picture.
const FORM_ROOM: u64 = 64 << 10;
/// The longest text of a field, in bytes: a roster of a thousand students.
const TEXT_LIMIT: usize = 64 << 10;
/// How long a client may send nothing of a form that it has begun: its share of the memory is somebody else's then.
const PAUSE: Duration = Duration::from_secs(10);
/// The unit of the memory that pictures may take.
const BLOCK: usize = 1 << 10;

/// The bounds of what is uploaded. Clones share the memory they hand out.
#[derive(Debug, Clone)]
pub struct Uploads {
    image_limit: u64,
    patience: Duration,
    memory: Arc<Semaphore>,
}

impl Uploads {
    /// Bounds that allow `image_limit` bytes a picture, `memory` bytes for all forms that are held at a time (a
    /// request beyond them is turned away as `overloaded`; while a form is read and parsed it takes up to three times its size), and `patience` for one form to arrive.
    #[must_use]
    pub fn new(image_limit: u64, memory: u64, patience: Duration) -> Self {
        let blocks = usize::try_from(memory / BLOCK as u64).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { image_limit, patience, memory: Arc::new(Semaphore::new(blocks)) }
    }

    fn body_limit(&self) -> u64 {
        self.image_limit.saturating_add(FORM_ROOM)
    }

    fn too_large(&self) -> ApiError {
        let limit = if self.image_limit.is_multiple_of(1 << 20) {
            format!("{} MiB", self.image_limit >> 20)
        } else {
            format!("{} bytes", self.image_limit)
        };
        ApiError::new(Code::ImageTooLarge, format!("the image is too large; at most {limit} are allowed"))
    }
}

impl Default for Uploads {
    /// 20 MiB a picture, 256 MiB for all, two minutes a form.
    fn default() -> Self {
        Self::new(20 << 20, 256 << 20, Duration::from_secs(120))
    }
}

/// A picture as it came, and the memory it takes up.
pub(crate) struct Photo {
    pub(crate) bytes: Bytes,
    /// To be dropped when the bytes are.
    pub(crate) held: Held,
}

/// A share of the memory for pictures, given back on drop.
#[derive(Debug, Default)]
pub(crate) struct Held(#[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

/// A form with a picture and the text fields that a route knows.
pub(crate) struct Form {
    pub(crate) photo: Photo,
    texts: Vec<(&'static str, String)>,
}

impl Form {
    /// The text of a field, or `None` where it was not sent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.texts.iter().find(|(n, _)| *n == name).map(|(_, text)| text.as_str())
    }

    /// The text of a field that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name).ok_or_else(|| missing(name))
    }

    /// Reads the request's form: the field `image`, the text fields of these names, each once, in any order. Other
    /// fields are ignored.
    pub(crate) async fn read(request: Request, uploads: &Uploads, names: &[&'static str]) -> Result<Self, ApiError> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let boundary = content_type.and_then(|value| multer::parse_boundary(value).ok()).ok_or_else(|| {
            let msg = "the body must be a form: send `multipart/form-data` with its boundary";
            ApiError::new(Code::UnsupportedMediaType, msg)
        })?;
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > uploads.body_limit()) {
            return Err(uploads.too_large());
        }
        let receiving = tokio::time::timeout(uploads.patience, receive(request.into_body(), uploads));
        let (body, held) = receiving.await.unwrap_or_else(|_| {
            let limit = uploads.patience.as_secs();
            Err(ApiError::new(Code::RequestTimeout, format!("the form must arrive within {limit} seconds")))
        })?;
        if body.is_empty() {
            return Err(missing("image"));
        }
        let (image, texts) = parse(body, boundary, names).await?;
        let bytes = image.ok_or_else(|| missing("image"))?;
        if bytes.len() as u64 > uploads.image_limit {
            return Err(uploads.too_large());
        }
        if bytes.is_empty() {
            return Err(ScanError::Invalid { reason: "is empty".into() }.into());
        }
        Ok(Self { photo: Photo { bytes, held }, texts })
    }
}

/// The whole body, as far as the bounds allow. All of it is read before any of it is parsed: the picture has to be held
/// anyway, and a parser that is fed drop by drop looks at the same bytes again and again.
async fn receive(body: Body, uploads: &Uploads) -> Result<(Bytes, Held), ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut held: Option<OwnedSemaphorePermit> = None;
    let late = |_| {
        let limit = PAUSE.as_secs();
        ApiError::new(
            Code::RequestTimeout,
            format!("the form stopped coming; send it without a pause of {limit} seconds"),
        )
    };
    while let Some(chunk) = tokio::time::timeout(PAUSE, stream.next()).await.map_err(late)? {
        let chunk = chunk.map_err(|_| unreadable("the connection broke while the form was sent"))?;
        let size = bytes.len() + chunk.len();
        if size as u64 > uploads.body_limit() {
            return Err(uploads.too_large());
        }
        let blocks = size.div_ceil(BLOCK) - bytes.len().div_ceil(BLOCK);
        let blocks = u32::try_from(blocks).map_err(|_| uploads.too_large())?;
        let share = uploads.memory.clone().try_acquire_many_owned(blocks).map_err(|_| ScanError::Overloaded)?;
        match &mut held {
            Some(held) => held.merge(share),
            none => *none = Some(share),
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes.into(), Held(held)))
}

type Fields = (Option<Bytes>, Vec<(&'static str, String)>);

/// The image and the texts of these names in a form.
async fn parse(body: Bytes, boundary: String, names: &[&'static str]) -> Result<Fields, ApiError> {
    let whole = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut form = multer::Multipart::new(whole, boundary);
    let mut image = None;
    let mut texts: Vec<(&'static str, String)> = Vec::new();
    while let Some(field) = form.next_field().await.map_err(refusal)? {
        let Some(name) = field.name().map(str::to_owned) else { continue };
        if name == "image" {
            if image.is_some() {
                return Err(duplicate("image"));
            }
            image = Some(field.bytes().await.map_err(refusal)?);
        } else if let Some(known) = names.iter().copied().find(|known| **known == name) {
            if texts.iter().any(|(n, _)| *n == known) {
                return Err(duplicate(known));
            }
            texts.push((known, text(&field.bytes().await.map_err(refusal)?, known)?));
        }
    }
    Ok((image, texts))
}

/// What to answer where a form cannot be parsed.
fn refusal(error: multer::Error) -> ApiError {
    match error {
        multer::Error::IncompleteFieldData { field_name } if field_name.as_deref() == Some("image") => {
            ScanError::Invalid { reason: "ends before it is complete".into() }.into()
        }
        error => unreadable(&format!("the form cannot be read ({error})")),
    }
}

fn text(bytes: &[u8], name: &'static str) -> Result<String, ApiError> {
    let code = if name == "student_id" { Code::InvalidStudentId } else { Code::InvalidParameter };
    if bytes.len() > TEXT_LIMIT {
        return Err(ApiError::new(code, format!("{name} is too long; at most {} KiB are allowed", TEXT_LIMIT >> 10)));
    }
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned).map_err(|_| ApiError::new(code, format!("{name} must be text in UTF-8")))
}

fn missing(name: &str) -> ApiError {
    ApiError::new(Code::MissingField, format!("the form has no field `{name}`; send it once"))
}

fn duplicate(name: &str) -> ApiError {
    ApiError::new(Code::DuplicateField, format!("the form has the field `{name}` twice; send it once"))
}

fn unreadable(what: &str) -> ApiError {
    ApiError::new(Code::InvalidForm, format!("{what}; send a complete `multipart/form-data` body"))
}
