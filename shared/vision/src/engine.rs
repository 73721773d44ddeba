use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use attendance::ports::{FaceEngine, Purpose, ScanError};
use attendance::{Face, FrameSize, ModelId, Scan};
use attendance_models::{ModelName, ModelsDir};
use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;
use tokio::sync::{Semaphore, oneshot};

use crate::stages::{Detection, Stages, decode, extract_chip, face_box, trimmed};
use crate::{VisionError, VisionSettings};

/// The quality of a face crop's JPEG, from 1 to 100.
const CROP_QUALITY: u8 = 92;
/// Megabytes that the scans of one engine may take together, by the estimate of [`megabytes`]: so much for each thread, and in
/// all at least what the largest picture takes.
const MEMORY_PER_THREAD: u32 = 256;
const LEAST_MEMORY: u32 = 1024;
/// Pictures that may wait for each compute thread. More are refused: their senders would have given up by then.
const WAITING_PER_THREAD: usize = 16;

/// Finds and describes faces. Loads its models once; cheap to clone and to share.
#[derive(Clone)]
pub struct VisionEngine {
    stages: Arc<Stages>,
    threads: usize,
    pool: Arc<rayon::ThreadPool>,
    running: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl VisionEngine {
    /// Returns the engine with the models of this folder, read side by side, each checked against the manifest.
    ///
    /// Without the HOG filters `auto` uses the CNN for everything.
    ///
    /// # Errors
    /// [`VisionError`] if a model is missing or damaged.
    pub fn load(models: &ModelsDir, settings: VisionSettings) -> Result<Self, VisionError> {
        let threads = settings.threads.max(1);
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("vision-{i}")).build()?;
        let stages = pool.install(|| Stages::load(models, &settings))?;
        Ok(Self {
            stages: Arc::new(stages),
            threads,
            pool: Arc::new(pool),
            running: Arc::new(Semaphore::new(threads)),
            memory: Arc::new(Semaphore::new(memory_of(threads) as usize)),
            waiting: Arc::default(),
        })
    }

    /// Returns the models that [`load`](Self::load) reads with these settings. `auto` can do without the HOG filters.
    #[must_use]
    pub fn models(settings: &VisionSettings) -> Vec<ModelName> {
        Stages::models(settings)
    }

    /// Returns the stages of a scan, one by one.
    #[must_use]
    pub fn stages(&self) -> &Stages {
        &self.stages
    }

    /// Returns which detector looks for faces from which size, for the operator.
    #[must_use]
    pub fn describe_detectors(&self) -> String {
        self.stages.describe_detectors()
    }

    /// Returns what [`scan`](FaceEngine::scan) returns, computed on the caller's thread and the engine's.
    ///
    /// # Errors
    /// [`ScanError`].
    pub fn scan_blocking(&self, photo: &[u8], purpose: Purpose) -> Result<Scan, ScanError> {
        self.pool.install(|| self.scan_here(photo, purpose))
    }

    fn scan_here(&self, photo: &[u8], purpose: Purpose) -> Result<Scan, ScanError> {
        let picture = decode(photo)?;
        let pixels = &picture.pixels;
        let internal = |error: VisionError| ScanError::Internal(Box::new(error));
        let found = self.stages.find(pixels, purpose).map_err(internal)?;
        let face = |detection: &Detection| {
            let rect = trimmed(&detection.rect, pixels);
            let chip = extract_chip(pixels, &self.stages.landmarks(pixels, &rect));
            let embedding = self.stages.embed(&chip)?;
            let crop = (purpose == Purpose::Enroll).then(|| crop(&chip));
            Ok(Face { face_box: face_box(&rect), embedding, crop })
        };
        let faces = found.detections.par_iter().map(face).collect::<Result<_, _>>().map_err(internal)?;
        let size = FrameSize { width: pixels.width(), height: pixels.height() };
        Ok(Scan { size, format: picture.format, faces, min_size: found.min_size })
    }
}

/// The chip as a JPEG.
fn crop(chip: &image::RgbImage) -> Bytes {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, CROP_QUALITY)
        .encode_image(chip)
        .expect("a picture of 150 x 150 pixels is written to memory");
    jpeg.into()
}

fn memory_of(threads: usize) -> u32 {
    LEAST_MEMORY.max(u32::try_from(threads).unwrap_or(u32::MAX).saturating_mul(MEMORY_PER_THREAD))
}

/// What the scan of a picture takes at most, in megabytes, by the size that its first bytes claim: decoding up to 11 bytes a
/// pixel (16 bits and alpha, and then RGB); HOG 20 for each that it looks at, the CNN some 100 MB for all that it may. Checked
/// against the peaks that `cargo xtask bench` measures.
fn megabytes(photo: &[u8], purpose: Purpose) -> u32 {
    // What has no size is refused before it takes any.
    let pixels = imagesize::blob_size(photo).map_or(0.0, |size| size.width as f64 * size.height as f64);
    let looked_at = match purpose {
        Purpose::Recognize => 20.0 * (4.0 * pixels).min(16e6),
        Purpose::Enroll => 85.0 * pixels.min(1.2e6),
    };
    ((11.0 * pixels + looked_at) / 1e6).ceil() as u32 + 1
}

/// One picture's place in the queue, given back when it is done, refused or abandoned.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl FaceEngine for VisionEngine {
    fn model(&self) -> &ModelId {
        self.stages.embedding_model()
    }

    async fn scan(&self, photo: Bytes, purpose: Purpose) -> Result<Scan, ScanError> {
        let place = Place(self.waiting.clone());
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        if before >= self.threads * (WAITING_PER_THREAD + 1) {
            return Err(ScanError::Overloaded);
        }
        let internal = |error: tokio::sync::AcquireError| ScanError::Internal(Box::new(error));
        let share = megabytes(&photo, purpose).min(memory_of(self.threads));
        let memory = self.memory.clone().acquire_many_owned(share).await.map_err(internal)?;
        let permit = self.running.clone().acquire_owned().await.map_err(internal)?;
        let (sender, receiver) = oneshot::channel();
        let engine = self.clone();
        self.pool.spawn(move || {
            // The permit and the place go with the work, not with the request: an abandoned request's scan still takes
            // a thread until it ends.
            let _held = (permit, memory, place);
            let result = catch_unwind(AssertUnwindSafe(|| engine.scan_here(&photo, purpose)));
            let _ = sender.send(result.unwrap_or_else(|panic| Err(ScanError::Internal(panic_message(&*panic).into()))));
        });
        receiver.await.map_err(|e| ScanError::Internal(Box::new(e)))?
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a scan panicked: {}", text.unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of a PNG of this size.
    fn claiming(width: u32, height: u32) -> Vec<u8> {
        [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".as_slice(), &width.to_be_bytes(), &height.to_be_bytes()].concat()
    }

    #[test]
    fn memory_is_shared_out_by_what_a_picture_claims() {
        let recognize = |width, height| megabytes(&claiming(width, height), Purpose::Recognize);
        assert_eq!((recognize(640, 480), recognize(1920, 1080)), (29, 190));
        // The largest has everything for itself where there are few threads, and never more than there is.
        assert!((800..=LEAST_MEMORY).contains(&recognize(8660, 5773)));
        assert_eq!(megabytes(b"no picture", Purpose::Enroll), 1);
        assert!(megabytes(&claiming(4000, 3000), Purpose::Enroll) < LEAST_MEMORY / 4, "a phone's");
        assert_eq!((memory_of(1), memory_of(16)), (1024, 4096));
    }
}
