use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::ports::{Acceptance, Push, StoreError};
use crate::{
    Clock, Context, Deliverer, Event, EventId, Label, Message, OutboxEntry, Recognition, RecognizeError, Recognizer,
    Report, Roster, Sighting, Tolerance, rounded,
};

/// Options of one call of [`Realtime::observe`].
#[derive(Debug, Clone, Default)]
pub struct RealtimeOptions {
    /// The largest distance that is dispatched; the service's tolerance if `None`. It can only tighten the tolerance.
    pub dispatch_within: Option<Tolerance>,
    /// Whether unknown faces are dispatched.
    pub send_unknown: bool,
    /// Whom to look for; everybody if `None`.
    pub roster: Option<Roster>,
    /// Where the frame comes from.
    pub context: Context,
}

/// A dispatched sighting, and what became of it.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// Who.
    pub label: Label,
    /// What became of it.
    pub report: Report,
}

/// Everybody in a frame, and what was dispatched.
#[derive(Debug, Clone)]
pub struct RealtimeOutcome {
    /// Every face.
    pub recognition: Recognition,
    /// The dispatched ones, in the order of the faces.
    pub dispatch: Vec<Dispatch>,
}

/// Why a frame was not observed.
#[derive(Debug, thiserror::Error)]
pub enum RealtimeError {
    /// The frame was not recognised.
    #[error(transparent)]
    Recognize(#[from] RecognizeError),
    /// The event store does not answer. Sightings accepted before it failed are pending and will be delivered.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Recognises frames, and tells the Attendance API and the subscribers.
pub struct Realtime {
    recognizer: Arc<Recognizer>,
    deliverer: Option<Arc<Deliverer>>,
    push: Arc<dyn Push>,
    clock: Arc<dyn Clock>,
    cooldown: Duration,
}

/// A sighting after the check of its cooldown.
enum Decision<'a> {
    Skipped(Report),
    Accepted(&'a Deliverer, Box<OutboxEntry>),
}

impl Realtime {
    /// A realtime service over these ports. Without a deliverer no event is made, and sightings are pushed as skipped.
    pub(crate) fn new(
        recognizer: Arc<Recognizer>,
        deliverer: Option<Arc<Deliverer>>,
        push: Arc<dyn Push>,
        clock: Arc<dyn Clock>,
        cooldown: Duration,
    ) -> Self {
        Self { recognizer, deliverer, push, clock, cooldown }
    }

    /// Whether events are sent to an Attendance API.
    #[must_use]
    pub fn webhook_enabled(&self) -> bool {
        self.deliverer.is_some()
    }

    /// Recognises a frame, dispatches its sightings, and returns both. It takes no longer than the recognition plus one
    /// webhook timeout: the deliveries of one frame run side by side.
    ///
    /// # Errors
    /// [`RealtimeError`].
    pub async fn observe(&self, frame: Bytes, options: RealtimeOptions) -> Result<RealtimeOutcome, RealtimeError> {
        let recognition = self.recognizer.recognize(frame, options.roster.as_ref()).await?;
        let mut decided = Vec::new();
        // One after the other, so that two faces of one student in one frame send one event: always the first.
        for sighting in recognition.sightings.iter().filter(|s| self.is_dispatched(s, &options)) {
            let event = Event {
                id: EventId::generate(),
                label: sighting.label.clone(),
                distance: sighting.distance,
                at: self.clock.now(),
                frame: recognition.size,
                face_box: sighting.face_box,
                context: options.context.clone(),
            };
            let decision = self.decide(&event).await?;
            decided.push((event, decision));
        }
        let dispatch = join_all(decided.into_iter().map(|(event, decision)| self.tell(event, decision))).await;
        Ok(RealtimeOutcome { recognition, dispatch })
    }

    fn is_dispatched(&self, sighting: &Sighting, options: &RealtimeOptions) -> bool {
        match (&sighting.label, sighting.distance) {
            (Label::Unknown, _) => options.send_unknown,
            (Label::Student(_), Some(distance)) => options.dispatch_within.is_none_or(|limit| limit.admits(distance)),
            (Label::Student(_), None) => true,
        }
    }

    async fn decide(&self, event: &Event) -> Result<Decision<'_>, StoreError> {
        let Some(deliverer) = &self.deliverer else {
            return Ok(Decision::Skipped(Report::skipped("webhook_disabled")));
        };
        Ok(match deliverer.accept(event, self.cooldown).await? {
            Acceptance::Accepted(entry) => Decision::Accepted(deliverer, entry),
            Acceptance::Cooling { left } => {
                let seconds = left.as_millis().div_ceil(1000);
                Decision::Skipped(Report::skipped(format!("cooldown_active ({seconds}s left)")))
            }
        })
    }

    async fn tell(&self, event: Event, decision: Decision<'_>) -> Dispatch {
        let report = match decision {
            Decision::Skipped(report) => report,
            Decision::Accepted(deliverer, entry) => deliverer.first_try(*entry).await,
        };
        let message = Message::Recognized {
            student_id: event.label.clone(),
            distance: event.distance.map(rounded),
            ts: event.at.seconds(),
            event_id: event.id,
            dispatch: report.clone(),
            context: event.context,
        };
        if let Err(error) = self.push.publish(&message).await {
            tracing::warn!(event_id = %event.id, ?error, "could not tell the subscribers of a sighting");
        }
        Dispatch { label: event.label, report }
    }
}
