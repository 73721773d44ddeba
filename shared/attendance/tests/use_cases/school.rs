use std::sync::Arc;
use std::time::Duration;

use attendance::ports::EnrollmentOrigin;
use attendance::{
    Attempt, AttendanceSettings, Clock, Deliverer, EnrollError, Enroller, Entries, MultiFace, Outbox, Ports, Realtime,
    Receipt, Recognition, RecognizeError, Recognizer, StudentId, compose,
};
use attendance_testkit::{
    Delivery, FakeClock, FakeEngine, FakeEvents, FakeGallery, FakePush, FakeWakeups, FakeWebhook, delivered,
};
use bytes::Bytes;

pub(crate) use attendance_testkit::START;

/// The use cases wired to fakes: one school's service, as one process has it.
pub(crate) struct School {
    pub(crate) engine: Arc<FakeEngine>,
    pub(crate) gallery: FakeGallery,
    pub(crate) events: FakeEvents,
    pub(crate) push: FakePush,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) webhook: Arc<FakeWebhook>,
    pub(crate) wakeups: FakeWakeups,
    /// All of these, as the use cases have them.
    pub(crate) ports: Ports,
    pub(crate) deliverer: Arc<Deliverer>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) recognizer: Arc<Recognizer>,
    pub(crate) realtime: Arc<Realtime>,
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
        let ports = Ports {
            gallery: Arc::new(gallery.clone()),
            events: Arc::new(events.clone()),
            push: Arc::new(push.clone()),
            webhook: Some(webhook.clone()),
            wakeups: Some(Arc::new(wakeups.clone())),
            clock: clock.clone(),
            ..attendance_testkit::ports()
        };
        let use_cases = compose(ports.clone(), AttendanceSettings::default());
        let faces = use_cases.with_engine(engine.clone());
        Self {
            engine,
            gallery,
            events,
            push,
            clock,
            webhook,
            wakeups,
            ports,
            deliverer: use_cases.deliverer.expect("there is a webhook"),
            outbox: use_cases.outbox,
            recognizer: faces.recognizer,
            realtime: faces.realtime,
        }
    }

    /// The same school without a webhook.
    pub(crate) fn without_webhook(mut self) -> Self {
        let ports = Ports { webhook: None, ..self.ports.clone() };
        self.realtime = compose(ports, AttendanceSettings::default()).with_engine(self.engine.clone()).realtime;
        self
    }

    /// The entries of the outbox, as another process has them.
    pub(crate) fn entries(&self) -> Entries {
        Entries::new(self.ports.events.clone())
    }

    pub(crate) fn enroller(&self, multi_face: MultiFace) -> Arc<Enroller> {
        let settings = AttendanceSettings { multi_face, ..AttendanceSettings::default() };
        compose(self.ports.clone(), settings).with_engine(self.engine.clone()).enroller
    }

    pub(crate) async fn enroll(&self, name: &str, photo: Bytes) -> Result<Receipt, EnrollError> {
        self.enroller(MultiFace::Reject).enroll(&student(name), photo, EnrollmentOrigin::Direct).await
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
