use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use attendance::ports::{Acceptance, EventStore, StoreError};
use attendance::{
    Context, Cooldown, Event, EventId, EventPage, EventStatus, FaceBox, FrameSize, Label, OutboxEntry, Revision,
    StudentId, Timestamp,
};

/// The entries of the outbox and the cooldowns, in memory. A clone is another handle onto the same storage.
#[derive(Debug, Clone, Default)]
pub struct FakeEvents(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    cooldowns: HashMap<String, Timestamp>,
    entries: BTreeMap<EventId, OutboxEntry>,
    down: bool,
}

impl FakeEvents {
    /// Makes the store answer, or not.
    pub fn set_down(&self, down: bool) {
        self.0.lock().expect("no test panics here").down = down;
    }

    /// Every entry, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<OutboxEntry> {
        self.0.lock().expect("no test panics here").entries.values().cloned().collect()
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = self.0.lock().expect("no test panics here");
        if state.down { Err(StoreError::unavailable("the fake outbox is down")) } else { Ok(state) }
    }
}

/// The event of this student being seen at this time.
#[must_use]
pub fn sighting(student: &str, at: Timestamp) -> Event {
    Event {
        id: EventId::generate(),
        label: Label::Student(StudentId::parse(student).expect("a valid id")),
        distance: Some(0.37),
        at,
        frame: FrameSize { width: 640, height: 480 },
        face_box: FaceBox { top: 1, right: 4, bottom: 3, left: 2 },
        context: Context::default(),
    }
}

#[async_trait]
impl EventStore for FakeEvents {
    async fn insert(&self, entry: OutboxEntry, cooldown: &Cooldown) -> Result<Acceptance, StoreError> {
        let mut state = self.state()?;
        if let Some(left) = state.cooldowns.get(&cooldown.key).and_then(|last| cooldown.left(*last)) {
            return Ok(Acceptance::Cooling { left });
        }
        state.cooldowns.insert(cooldown.key.clone(), cooldown.at);
        state.entries.insert(entry.id, entry.clone());
        Ok(Acceptance::Accepted(Box::new(entry)))
    }

    async fn swap(&self, entries: Vec<OutboxEntry>) -> Result<Vec<OutboxEntry>, StoreError> {
        let mut state = self.state()?;
        let mut swapped = Vec::new();
        for mut entry in entries {
            if let Some(stored) = state.entries.get_mut(&entry.id).filter(|stored| stored.revision == entry.revision) {
                entry.revision = Revision::generate();
                stored.clone_from(&entry);
                swapped.push(entry);
            }
        }
        Ok(swapped)
    }

    async fn get(&self, id: EventId) -> Result<Option<OutboxEntry>, StoreError> {
        Ok(self.state()?.entries.get(&id).cloned())
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        let state = self.state()?;
        let is_due = |entry: &&OutboxEntry| entry.due().is_some_and(|due| due <= now);
        let mut due: Vec<_> = state.entries.values().filter(is_due).cloned().collect();
        due.sort_by_key(OutboxEntry::due);
        due.truncate(limit);
        Ok(due)
    }

    async fn list(
        &self,
        status: Option<EventStatus>,
        limit: usize,
        cursor: Option<EventId>,
    ) -> Result<EventPage, StoreError> {
        let state = self.state()?;
        let mut found = state
            .entries
            .values()
            .rev()
            .filter(|entry| cursor.is_none_or(|cursor| entry.id <= cursor))
            .filter(|entry| status.is_none_or(|status| entry.status == status));
        let events = found.by_ref().take(limit.max(1)).cloned().collect();
        let next = found.next().map(|entry| entry.id);
        Ok(EventPage { events, next })
    }
}
