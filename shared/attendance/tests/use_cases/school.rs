use std::sync::Arc;
use std::time::Duration;

use attendance::{
    Attempt, Clock, Deliverer, EnrollError, Enroller, GalleryCache, MultiFace, Realtime, Receipt, Recognition,
    RecognizeError, Recognizer, RetryPolicy, StudentId, Tolerance,
};
use attendance_testkit::{
    Delivery, FakeClock, FakeEngine, FakeEvents, FakeGallery, FakePush, FakeWakeups, FakeWebhook, delivered,
};
use bytes::Bytes;

/// The time at which every test begins, in milliseconds.
pub(crate) const START: u64 = 1_727_580_000_000;

pub(crate) const COOLDOWN: Duration = Duration::from_secs(5);

/// The use cases wired to fakes: one school's service, as one process has it.
pub(crate) struct School {
    pub(crate) engine: Arc<FakeEngine>,
    pub(crate) gallery: FakeGallery,
    pub(crate) events: FakeEvents,
    pub(crate) push: FakePush,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) webhook: Arc<FakeWebhook>,
    pub(crate) wakeups: FakeWakeups,
    pub(crate) deliverer: Arc<Deliverer>,
    pub(crate) recognizer: Arc<Recognizer>,
    pub(crate) realtime: Realtime,
}

impl School {
    /// A school whose Attendance API takes everything.
    pub(crate) fn new() -> Self {
        Self::with_receiver(|delivery| delivered(delivery.at))
    }

    pub(crate) fn with_receiver(script: impl Fn(&Delivery) -> Attempt + Send + Sync + 'static) -> Self {
        Self::over(FakeGallery::default(), FakeEvents::default(), script)
    }

    /// A school over storage that others may use too.
    pub(crate) fn over(
        gallery: FakeGallery,
        events: FakeEvents,
        script: impl Fn(&Delivery) -> Attempt + Send + Sync + 'static,
    ) -> Self {
        let engine = Arc::new(FakeEngine::default());
        let push = FakePush::default();
        let clock = Arc::new(FakeClock::at(START));
        let webhook = Arc::new(FakeWebhook::new(script));
        let wakeups = FakeWakeups::default();
        let deliverer = Deliverer::new(
            webhook.clone(),
            Arc::new(events.clone()),
            Arc::new(push.clone()),
            clock.clone(),
            RetryPolicy::default(),
            Duration::from_secs(3),
        );
        let deliverer = Arc::new(deliverer.waking(Arc::new(wakeups.clone())));
        let cache =
            GalleryCache::new(Arc::new(gallery.clone()), attendance::ports::FaceEngine::model(&*engine).clone());
        let tolerance = Tolerance::new(0.45).expect("a tolerance");
        let recognizer = Arc::new(Recognizer::new(engine.clone(), cache, tolerance));
        let realtime = Realtime::new(
            recognizer.clone(),
            Arc::new(events.clone()),
            Some(deliverer.clone()),
            Arc::new(push.clone()),
            clock.clone(),
            COOLDOWN,
        );
        Self { engine, gallery, events, push, clock, webhook, wakeups, deliverer, recognizer, realtime }
    }

    /// The same school without a webhook.
    pub(crate) fn without_webhook(mut self) -> Self {
        self.realtime = Realtime::new(
            self.recognizer.clone(),
            Arc::new(self.events.clone()),
            None,
            Arc::new(self.push.clone()),
            self.clock.clone(),
            COOLDOWN,
        );
        self
    }

    pub(crate) fn enroller(&self, multi_face: MultiFace) -> Enroller {
        Enroller::new(
            self.engine.clone(),
            Arc::new(self.gallery.clone()),
            Arc::new(self.push.clone()),
            self.clock.clone(),
            multi_face,
        )
    }

    pub(crate) async fn enroll(&self, name: &str, photo: Bytes) -> Result<Receipt, EnrollError> {
        self.enroller(MultiFace::Reject).enroll(&student(name), photo).await
    }

    pub(crate) async fn recognize(&self, photo: Bytes) -> Result<Recognition, RecognizeError> {
        self.recognizer.recognize(photo, None).await
    }

    /// Moves the clock on.
    pub(crate) fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn now(&self) -> attendance::Timestamp {
        self.clock.now()
    }
}

pub(crate) fn student(name: &str) -> StudentId {
    StudentId::parse(name).expect("a valid id")
}
