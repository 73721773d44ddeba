mod rows;

use std::time::Duration;

use async_trait::async_trait;
use attendance::ports::{Acceptance, EventStore, StoreError};
use attendance::{Cooldown, EventId, EventPage, EventStatus, OutboxEntry, Revision, Timestamp};
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt};

use crate::table::{Expression, NotCommitted, Query, Row, Table, from_row, key, n, s, shard_of, text};
use rows::{CooldownRow, DueRow, EventRow};

/// Partitions of the outbox.
const SHARDS: usize = 4;

/// Rows written side by side.
const WRITTEN_AT_ONCE: usize = 16;

/// Keys in one batch read, as DynamoDB allows.
const READ_AT_ONCE: usize = 100;

/// How long a damaged event is set aside, so that others are found behind it.
const SET_ASIDE: Duration = Duration::from_secs(3600);

/// The entries of the outbox and the cooldowns, in DynamoDB.
pub struct DynamoEvents {
    table: Table,
}

fn partition(id: EventId) -> String {
    shard_partition(shard_of(&id.to_string(), SHARDS))
}

fn shard_partition(shard: usize) -> String {
    format!("event#{shard}")
}

impl DynamoEvents {
    pub(crate) fn new(table: Table) -> Self {
        Self { table }
    }

    /// Replaces the entry if its stored revision is still its own, and returns it as stored.
    async fn swap_one(&self, mut entry: OutboxEntry) -> Result<Option<OutboxEntry>, StoreError> {
        let seen = std::mem::replace(&mut entry.revision, Revision::generate());
        let row = EventRow::of(&entry, partition(entry.id)).item();
        let unchanged = Expression::condition("#revision = :seen").value("seen", s(seen.to_string()));
        if self.table.put_row(row, unchanged).await? {
            return Ok(Some(entry));
        }
        // If it was written and the answer was lost, the repeat met its own revision.
        let stored = self.get(entry.id).await?;
        Ok(stored.is_some_and(|stored| stored.revision == entry.revision).then_some(entry))
    }

    /// The rows that this asks for of every shard.
    async fn rows(&self, ask: impl Fn(Query) -> Query) -> Result<Vec<Row>, StoreError> {
        let shards = (0..SHARDS).map(|shard| {
            let query = ask(Query::of(shard_partition(shard)));
            self.table.query(&query).try_collect::<Vec<Row>>()
        });
        Ok(try_join_all(shards).await?.concat())
    }

    /// The keys of pending events due at `now`, earliest first.
    async fn due_keys(&self, now: Timestamp, limit: usize) -> Result<Vec<DueRow>, StoreError> {
        let up_to = n(now.millis());
        let rows = self.rows(|shard| shard.through("due", "due").up_to(up_to.clone()).limit(limit)).await?;
        let mut due = rows.into_iter().map(from_row).collect::<Result<Vec<DueRow>, _>>()?;
        due.sort_unstable();
        due.truncate(limit);
        Ok(due)
    }

    /// The rows as entries, without damaged ones: those keep no other from being sent.
    async fn readable(&self, rows: Vec<Row>, now: Timestamp) -> Result<Vec<OutboxEntry>, StoreError> {
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let (pk, sk) = (text(&row, "pk")?.to_owned(), text(&row, "sk")?.to_owned());
            match EventRow::entry(row) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    tracing::error!(event_id = sk, ?error, "a stored event is damaged");
                    let aside = Expression::new("SET #due = :until", Some("#due <= :until"));
                    let aside = aside.value("until", n(now.after(SET_ASIDE).millis()));
                    self.table.update_row(&pk, &sk, aside).await?;
                }
            }
        }
        Ok(entries)
    }
}

#[async_trait]
impl EventStore for DynamoEvents {
    async fn insert(&self, entry: OutboxEntry, cooldown: &Cooldown) -> Result<Acceptance, StoreError> {
        let id = entry.id.to_string();
        let pk = format!("cooldown#{}", cooldown.key);
        let (earliest, latest) = cooldown.blocking();
        let free = "attribute_not_exists(#at) OR #at <= :earliest OR #at >= :latest";
        let taken = Expression::new("SET #at = :at, #event = :event, #expires = :expires", Some(free))
            .value("at", n(cooldown.at.millis()))
            .value("event", s(&id))
            .value("expires", n(cooldown.until().after(Cooldown::KEPT).seconds()))
            .value("earliest", n(earliest.millis()))
            .value("latest", n(latest.millis()));
        let row = EventRow::of(&entry, partition(entry.id)).item();
        let writes = vec![self.table.update(&pk, "cooldown", taken), self.table.put(row, None)];
        let reasons = match self.table.transact(writes, &id).await {
            Ok(()) => return Ok(Acceptance::Accepted(Box::new(entry))),
            Err(NotCommitted::Store(error)) => return Err(error),
            Err(NotCommitted::Condition(reasons)) => reasons,
        };
        let row = match reasons.into_iter().next().and_then(|reason| reason.item) {
            Some(row) => row,
            None => {
                let row = self.table.get(&pk, "cooldown").await?;
                row.ok_or_else(|| StoreError::damaged("a cooldown that is in force is not there"))?
            }
        };
        let last: CooldownRow = from_row(row)?;
        if last.event == id {
            // It was committed, and the answer was lost.
            return Ok(Acceptance::Accepted(Box::new(entry)));
        }
        let left = cooldown.left(Timestamp::from_millis(last.at)).unwrap_or_default();
        Ok(Acceptance::Cooling { left })
    }

    async fn swap(&self, entries: Vec<OutboxEntry>) -> Result<Vec<OutboxEntry>, StoreError> {
        let swaps: Vec<_> = entries.into_iter().map(|entry| self.swap_one(entry)).collect();
        let mut swaps = futures_util::stream::iter(swaps).buffered(WRITTEN_AT_ONCE);
        let (mut stored, mut failed) = (Vec::new(), None);
        while let Some(swap) = swaps.next().await {
            match swap {
                Ok(entry) => stored.extend(entry),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if stored.is_empty() => return Err(error),
            Some(error) => tracing::error!(?error, "could not store some of several changed events"),
            None => {}
        }
        Ok(stored)
    }

    async fn get(&self, id: EventId) -> Result<Option<OutboxEntry>, StoreError> {
        let row = self.table.get(&partition(id), &id.to_string()).await?;
        row.map(EventRow::entry).transpose()
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        let keys = self.due_keys(now, limit).await?;
        let mut entries = Vec::with_capacity(keys.len());
        for keys in keys.chunks(READ_AT_ONCE) {
            let rows = self.table.get_each(keys.iter().map(|due| key(&due.pk, &due.sk)).collect()).await?;
            entries.extend(self.readable(rows, now).await?);
        }
        // Others may have changed some since the index was read.
        entries.retain(|entry| entry.due().is_some_and(|due| due <= now));
        entries.sort_unstable_by_key(|entry| (entry.due(), entry.id));
        Ok(entries)
    }

    async fn list(
        &self,
        status: Option<EventStatus>,
        limit: usize,
        cursor: Option<EventId>,
    ) -> Result<EventPage, StoreError> {
        let limit = limit.max(1);
        // Ids are hex: a tilde comes after all of them.
        let from = cursor.map_or_else(|| "~".to_owned(), |id| id.to_string());
        let ask = |shard: Query| match status {
            None => shard.up_to(s(&from)),
            Some(status) => {
                let (first, last) = (format!("{status}#"), format!("{status}#{from}"));
                shard.through("status", "status_id").between(s(first), s(last))
            }
        };
        let rows = self.rows(|shard| ask(shard).descending().limit(limit + 1)).await?;
        let mut events = Vec::new();
        for row in rows {
            events.push(EventRow::entry(row)?);
        }
        events.sort_unstable_by_key(|event| std::cmp::Reverse(event.id));
        let next = events.get(limit).map(|event| event.id);
        events.truncate(limit);
        Ok(EventPage { events, next })
    }
}
