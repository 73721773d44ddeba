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
/// How long a client may pause within a form: then others get its share of the memory.
const PAUSE: Duration = Duration::from_secs(10);
/// The unit of the memory that pictures may take.
const BLOCK: usize = 1 << 10;

/// Bounds for uploads. Clones share the memory they hand out.
#[derive(Debug, Clone)]
pub struct Uploads {
    image_limit: u64,
    patience: Duration,
    memory: Arc<Semaphore>,
}

impl Uploads {
    /// Returns bounds that allow `image_limit` bytes per picture, `memory` bytes for all forms that are held at a time, and
    /// `patience` for one form to arrive. A request beyond the memory is turned away as `overloaded`. While a form is read and
    /// parsed it takes up to three times its size.
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
    /// 20 MiB per picture, 256 MiB for all, two minutes per form.
    fn default() -> Self {
        Self::new(20 << 20, 256 << 20, Duration::from_secs(120))
    }
}

/// A share of the memory for pictures, given back on drop: to be dropped when the picture is.
#[derive(Debug, Default)]
pub(crate) struct Held(#[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

/// A form of the contract: the field `image` and text fields.
pub(crate) trait FormBody: Sized {
    /// The names of its text fields.
    const TEXTS: &'static [&'static str];

    /// The form that holds this image and these texts.
    fn of(image: Bytes, texts: Texts) -> Result<Self, ApiError>;
}

/// The text fields of a form that its route knows.
#[derive(Default)]
pub(crate) struct Texts(Vec<(&'static str, String)>);

impl Texts {
    /// The text of a field, or `None` if it was not sent or was taken before.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// The text of a field that must be there.
    pub(crate) fn required(&mut self, name: &str) -> Result<String, ApiError> {
        self.take(name).ok_or_else(|| missing(name))
    }
}

/// Reads the request's form: each field once, in any order, and fields that the form does not name are ignored. Returns
/// it with its share of the memory.
pub(crate) async fn read_form<F: FormBody>(request: Request, uploads: &Uploads) -> Result<(F, Held), ApiError> {
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
    let (image, texts) = parse(body, boundary, F::TEXTS).await?;
    let image = image.ok_or_else(|| missing("image"))?;
    if image.len() as u64 > uploads.image_limit {
        return Err(uploads.too_large());
    }
    if image.is_empty() {
        return Err(ScanError::Invalid { reason: "is empty".into() }.into());
    }
    Ok((F::of(image, texts)?, held))
}

/// Returns the whole body, as far as the bounds allow. It is read before it is parsed: the picture has to be held anyway, and a
/// parser that is fed drop by drop looks at the same bytes again and again.
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

/// The image and the texts of these names in a form.
async fn parse(body: Bytes, boundary: String, names: &[&'static str]) -> Result<(Option<Bytes>, Texts), ApiError> {
    let whole = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut form = multer::Multipart::new(whole, boundary);
    let mut image = None;
    let mut texts = Texts::default();
    while let Some(field) = form.next_field().await.map_err(refusal)? {
        let Some(name) = field.name().map(str::to_owned) else { continue };
        if name == "image" {
            if image.is_some() {
                return Err(duplicate("image"));
            }
            image = Some(field.bytes().await.map_err(refusal)?);
        } else if let Some(known) = names.iter().copied().find(|known| **known == name) {
            if texts.0.iter().any(|(n, _)| *n == known) {
                return Err(duplicate(known));
            }
            texts.0.push((known, text(&field.bytes().await.map_err(refusal)?, known)?));
        }
    }
    Ok((image, texts))
}

/// What to answer if a form cannot be parsed.
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
