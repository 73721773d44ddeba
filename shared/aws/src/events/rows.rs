//! The rows of the outbox: what an entry and a cooldown look like in DynamoDB.

use std::time::Duration;

use attendance::ports::StoreError;
use attendance::{Attempt, AttemptOutcome, ENDED_KEPT, EventId, OutboxEntry, Revision, Timestamp};
use serde::{Deserialize, Serialize};

use crate::table::{Row, from_row, to_row};

/// Bytes of JSON that an event's attempts may take, of the 400 KB of a row; the latest are kept.
const ATTEMPTS_BYTES: usize = 100 << 10;

/// The row of a cooldown.
#[derive(Deserialize)]
pub(super) struct CooldownRow {
    /// When the last event of this key was accepted, in milliseconds.
    pub(super) at: u64,
    /// That event's id.
    pub(super) event: String,
}

/// A row of the index `due`.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DueRow {
    due: u64,
    pub(super) sk: String,
    pub(super) pk: String,
}

/// The row of an event. Moments are milliseconds.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct EventRow {
    pk: String,
    /// The event's id.
    sk: String,
    student: String,
    status: String,
    /// `<status>#<id>`, for the index of that name.
    status_id: String,
    accepted: u64,
    round_started: u64,
    round_attempts: u32,
    next_try: u64,
    leased_until: u64,
    /// The later of the two above while the event is pending, for the index of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<u64>,
    /// When DynamoDB deletes an ended event, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    body: String,
    /// [`AttemptRow`]s as JSON.
    attempts: String,
    revision: String,
}

/// An attempt in the JSON of a row.
#[derive(Serialize, Deserialize)]
struct AttemptRow {
    at: u64,
    outcome: OutcomeRow,
    http_status: Option<u16>,
    message: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutcomeRow {
    Delivered,
    Failed { retry_after: Option<Duration> },
    Gone,
}

impl EventRow {
    /// The row of this entry in this partition.
    pub(super) fn of(entry: &OutboxEntry, partition: String) -> Self {
        let status = entry.status.to_string();
        Self {
            pk: partition,
            sk: entry.id.to_string(),
            student: entry.student.clone(),
            status_id: format!("{status}#{}", entry.id),
            status,
            accepted: entry.accepted.millis(),
            round_started: entry.round_started.millis(),
            round_attempts: entry.round_attempts,
            next_try: entry.next_try.millis(),
            leased_until: entry.leased_until.millis(),
            due: entry.due().map(Timestamp::millis),
            expires: entry.ended.map(|ended| ended.after(ENDED_KEPT).seconds()),
            body: entry.body.clone(),
            attempts: json_of_latest(&entry.attempts),
            revision: entry.revision.to_string(),
        }
    }

    /// The attributes of the row.
    pub(super) fn item(self) -> Row {
        to_row(self)
    }

    /// The entry in this row.
    pub(super) fn entry(row: Row) -> Result<OutboxEntry, StoreError> {
        let row: Self = from_row(row)?;
        let damaged = |what: &str, text: &str| StoreError::damaged(format!("{text} is not {what} of an event"));
        let attempts: Vec<AttemptRow> = serde_json::from_str(&row.attempts).map_err(StoreError::damaged)?;
        Ok(OutboxEntry {
            id: EventId::parse(&row.sk).ok_or_else(|| damaged("the id", &row.sk))?,
            status: row.status.parse().map_err(|_| damaged("the status", &row.status))?,
            student: row.student,
            accepted: Timestamp::from_millis(row.accepted),
            round_started: Timestamp::from_millis(row.round_started),
            round_attempts: row.round_attempts,
            next_try: Timestamp::from_millis(row.next_try),
            leased_until: Timestamp::from_millis(row.leased_until),
            ended: row.expires.map(|expires| Timestamp::from_millis(expires.saturating_mul(1000)).before(ENDED_KEPT)),
            body: row.body,
            attempts: attempts.into_iter().map(Attempt::from).collect(),
            revision: Revision::parse(&row.revision).ok_or_else(|| damaged("the revision", &row.revision))?,
        })
    }
}

impl From<&Attempt> for AttemptRow {
    fn from(attempt: &Attempt) -> Self {
        let outcome = match attempt.outcome {
            AttemptOutcome::Delivered => OutcomeRow::Delivered,
            AttemptOutcome::Failed { retry_after } => OutcomeRow::Failed { retry_after },
            AttemptOutcome::Gone => OutcomeRow::Gone,
        };
        let (at, http_status, message) = (attempt.at.millis(), attempt.http_status, attempt.message.clone());
        Self { at, outcome, http_status, message }
    }
}

impl From<AttemptRow> for Attempt {
    fn from(AttemptRow { at, outcome, http_status, message }: AttemptRow) -> Self {
        let outcome = match outcome {
            OutcomeRow::Delivered => AttemptOutcome::Delivered,
            OutcomeRow::Failed { retry_after } => AttemptOutcome::Failed { retry_after },
            OutcomeRow::Gone => AttemptOutcome::Gone,
        };
        Self { at: Timestamp::from_millis(at), outcome, http_status, message }
    }
}

/// The attempts as JSON, without the earliest if all of them take too many bytes. A message of control characters is six
/// times as long in JSON as it is.
fn json_of_latest(attempts: &[Attempt]) -> String {
    let mut left = ATTEMPTS_BYTES;
    let mut latest = Vec::new();
    for attempt in attempts.iter().rev() {
        let json = serde_json::to_string(&AttemptRow::from(attempt)).expect("attempts are plain data");
        if json.len() > left {
            break;
        }
        left -= json.len();
        latest.push(json);
    }
    latest.reverse();
    format!("[{}]", latest.join(","))
}

#[cfg(test)]
mod tests {
    use attendance::EventStatus;

    use super::*;
    use crate::table::{n, s};

    #[test]
    fn the_latest_attempts_are_kept_within_a_rows_room() {
        let attempt = |n: u64, message: &str| Attempt {
            at: Timestamp::from_millis(n),
            outcome: AttemptOutcome::Failed { retry_after: None },
            http_status: Some(500),
            message: message.repeat(2048),
        };
        for (message, most) in [("x", 50), ("\0", 9)] {
            let attempts: Vec<_> = (0..100).map(|n| attempt(n, message)).collect();
            let json = json_of_latest(&attempts);
            assert!(json.len() <= ATTEMPTS_BYTES + 200);
            let kept: Vec<AttemptRow> = serde_json::from_str(&json).expect("JSON");
            assert!(kept.len() < most && kept.len() >= most / 2, "{}", kept.len());
            assert_eq!(kept.last().expect("some").at, 99);
        }
    }

    /// The row of an ended event as every version of this program has written it.
    fn ended_row() -> Row {
        let attempts = concat!(
            r#"[{"at":1727580001000,"outcome":{"failed":{"retry_after":null}},"http_status":null,"message":"no"},"#,
            r#"{"at":1727580002000,"outcome":{"failed":{"retry_after":{"secs":90,"nanos":500000000}}},"#,
            r#""http_status":503,"message":"é \"later\""},"#,
            r#"{"at":1727580003000,"outcome":"gone","http_status":410,"message":""},"#,
            r#"{"at":1727580004000,"outcome":"delivered","http_status":200,"message":"{}"}]"#,
        );
        let texts = [
            ("pk", "event#2"),
            ("sk", "0192f0c1-2345-7abc-8def-0123456789ab"),
            ("student", "siswaA"),
            ("status", "sent"),
            ("status_id", "sent#0192f0c1-2345-7abc-8def-0123456789ab"),
            ("body", r#"{"event":"x"}"#),
            ("attempts", attempts),
            ("revision", "0192f0c1-2345-7abc-8def-00000000000f"),
        ];
        let numbers = [
            ("accepted", 1_727_580_000_000_u64),
            ("round_started", 1_727_580_000_500),
            ("round_attempts", 4),
            ("next_try", 1_727_580_006_000),
            ("leased_until", 0),
            ("expires", 1_735_356_004),
        ];
        let texts = texts.map(|(name, text)| (name.to_owned(), s(text)));
        let numbers = numbers.map(|(name, number)| (name.to_owned(), n(number)));
        texts.into_iter().chain(numbers).collect()
    }

    fn pending_row() -> Row {
        let mut row = ended_row();
        row.remove("expires");
        row.insert("status".into(), s("pending"));
        row.insert("status_id".into(), s("pending#0192f0c1-2345-7abc-8def-0123456789ab"));
        row.insert("due".into(), n(1_727_580_006_000_u64));
        row.insert("attempts".into(), s("[]"));
        row
    }

    #[test]
    fn rows_of_earlier_versions_are_read_and_written_as_they_were() {
        let entry = EventRow::entry(ended_row()).expect("read");
        assert_eq!((entry.status, entry.due(), entry.round_attempts), (EventStatus::Sent, None, 4));
        assert_eq!(entry.ended, Some(Timestamp::from_millis(1_727_580_004_000)), "90 days before it expires");
        let failed = |retry_after| AttemptOutcome::Failed { retry_after };
        let outcomes: Vec<_> = entry.attempts.iter().map(|attempt| attempt.outcome).collect();
        let waited = failed(Some(Duration::from_millis(90_500)));
        assert_eq!(outcomes, [failed(None), waited, AttemptOutcome::Gone, AttemptOutcome::Delivered]);
        assert_eq!(entry.attempts[1].message, "é \"later\"");
        assert_eq!(EventRow::of(&entry, "event#2".into()).item(), ended_row());

        let entry = EventRow::entry(pending_row()).expect("read");
        assert_eq!(
            (entry.status, entry.due()),
            (EventStatus::Pending, Some(Timestamp::from_millis(1_727_580_006_000)))
        );
        assert_eq!((entry.ended, entry.attempts.len()), (None, 0));
        assert_eq!(EventRow::of(&entry, "event#2".into()).item(), pending_row());
    }

    #[test]
    fn a_damaged_row_is_an_error_that_says_what_is_wrong() {
        for (name, wrong) in [("sk", s("x")), ("status", s("lost")), ("attempts", s("{")), ("revision", s("1"))] {
            let mut row = ended_row();
            row.insert(name.into(), wrong);
            assert!(matches!(EventRow::entry(row), Err(StoreError::Damaged(_))), "{name}");
        }
        for name in ["student", "accepted", "body", "leased_until"] {
            let mut row = ended_row();
            row.remove(name);
            assert!(matches!(EventRow::entry(row), Err(StoreError::Damaged(_))), "{name}");
        }
    }
}
