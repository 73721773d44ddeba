use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use attendance::ports::{FaceEngine, Purpose, ScanError};
use attendance::{Face, FrameSize, ModelId, Scan};
use attendance_models::landmarks::Landmarks;
use attendance_models::{EMBEDDING_MODEL, ModelName, ModelsDir};
use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;
use tokio::sync::{Semaphore, oneshot};

use crate::cnn::{CnnDetector, WINDOW};
use crate::detect::Detectors;
use crate::embed::Embedder;
use crate::hog::HogDetector;
use crate::stages::{Picture, decode, extract_chip, face_box, trimmed};
use crate::yunet::YunetDetector;
use crate::{Detector, VisionError, VisionSettings};

/// The quality of a face crop's JPEG, from 1 to 100.
const CROP_QUALITY: u8 = 92;
/// Pictures that may wait for each compute thread. More are refused: their senders would have given up by then.
const WAITING_PER_THREAD: usize = 16;

pub(crate) struct Models {
    pub(crate) detectors: Detectors,
    pub(crate) landmarks: Landmarks,
    pub(crate) embedder: Embedder,
}

/// Finds and describes faces. Loads its models once; cheap to clone and to share.
#[derive(Clone)]
pub struct VisionEngine {
    pub(crate) models: Arc<Models>,
    pub(crate) settings: VisionSettings,
    pool: Arc<rayon::ThreadPool>,
    running: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    model: ModelId,
}

impl VisionEngine {
    /// The engine with the models of this folder, read side by side, each checked against the manifest.
    ///
    /// Without the HOG filters `auto` uses the CNN for everything.
    ///
    /// # Errors
    /// [`VisionError`] where a model is missing or damaged.
    pub fn load(models: &ModelsDir, settings: VisionSettings) -> Result<Self, VisionError> {
        let threads = settings.threads.max(1);
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("vision-{i}")).build()?;
        let detector = settings.detector;
        let with_hog =
            detector == Detector::Hog || (detector == Detector::Auto && models.missing(&[ModelName::Hog]).is_empty());
        let with_cnn = matches!(detector, Detector::Cnn | Detector::Auto);
        let (embedder, (landmarks, detectors)) = pool.install(|| {
            rayon::join(
                || Embedder::parse(&models.verify(ModelName::Embedder)?),
                || rayon::join(|| load_landmarks(models), || load_detectors(models, detector, with_cnn, with_hog)),
            )
        });
        let models = Models { embedder: embedder?, landmarks: landmarks?, detectors: detectors? };
        Ok(Self {
            models: Arc::new(models),
            settings,
            pool: Arc::new(pool),
            running: Arc::new(Semaphore::new(threads)),
            waiting: Arc::default(),
            model: ModelId::new(EMBEDDING_MODEL),
        })
    }

    /// The smallest face, in pixels, that an enrolment looks for.
    #[must_use]
    pub fn enrollment_min_size(&self) -> u32 {
        match self.settings.detector {
            Detector::Auto => self.settings.min_size.max(WINDOW),
            _ => self.settings.min_size,
        }
    }

    /// What [`scan`](FaceEngine::scan) returns, computed on the caller's thread and the engine's.
    ///
    /// # Errors
    /// [`ScanError`].
    pub fn scan_blocking(&self, photo: &[u8], purpose: Purpose) -> Result<Scan, ScanError> {
        self.pool.install(|| self.scan_here(photo, purpose))
    }

    fn scan_here(&self, photo: &[u8], purpose: Purpose) -> Result<Scan, ScanError> {
        let picture = decode(photo)?;
        self.faces(&picture, purpose).map_err(|error| ScanError::Internal(Box::new(error))).map(|faces| {
            let (width, height) = picture.pixels.dimensions();
            Scan { size: FrameSize { width, height }, format: picture.format, faces }
        })
    }

    fn faces(&self, picture: &Picture, purpose: Purpose) -> Result<Vec<Face>, VisionError> {
        let pixels = &picture.pixels;
        self.detect(pixels, purpose)?
            .par_iter()
            .map(|detection| {
                let rect = trimmed(&detection.rect, pixels);
                let chip = extract_chip(pixels, &self.landmarks(pixels, &rect));
                let embedding = self.embed(&chip)?;
                let crop = (purpose == Purpose::Enroll).then(|| crop(&chip));
                Ok(Face { face_box: face_box(&rect), embedding, crop })
            })
            .collect()
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

fn load_landmarks(models: &ModelsDir) -> Result<Landmarks, VisionError> {
    const NAME: &str = "face_landmarks.bin";
    Landmarks::from_bytes(NAME, &models.verify(ModelName::Landmarks)?).map_err(|e| VisionError::format(NAME, e))
}

fn load_detectors(models: &ModelsDir, choice: Detector, cnn: bool, hog: bool) -> Result<Detectors, VisionError> {
    const HOG: &str = "face_hog.bin";
    Ok(Detectors {
        cnn: cnn.then(|| CnnDetector::parse(&models.verify(ModelName::Detector)?)).transpose()?,
        hog: hog
            .then(|| HogDetector::parse(&models.verify(ModelName::Hog)?).map_err(|e| VisionError::format(HOG, e)))
            .transpose()?,
        yunet: (choice == Detector::Yunet)
            .then(|| YunetDetector::parse(&models.verify(ModelName::Yunet)?))
            .transpose()?,
    })
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
        &self.model
    }

    async fn scan(&self, photo: Bytes, purpose: Purpose) -> Result<Scan, ScanError> {
        let place = Place(self.waiting.clone());
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        if before >= self.settings.threads.max(1) * (WAITING_PER_THREAD + 1) {
            return Err(ScanError::Overloaded);
        }
        let permit = self.running.clone().acquire_owned().await.map_err(|e| ScanError::Internal(Box::new(e)))?;
        let (sender, receiver) = oneshot::channel();
        let engine = self.clone();
        self.pool.spawn(move || {
            // The permit and the place go with the work, not with the request: an abandoned request's scan still takes
            // a thread until it ends.
            let _held = (permit, place);
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
