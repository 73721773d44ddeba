use std::io;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::unfold;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc::{self, Sender};

use crate::{Attendance, Filter, Row};

/// How much is collected before it is sent, in bytes.
const CHUNK: usize = 32 << 10;

const HEADER: [&str; 7] = ["student_id", "timestamp", "source", "device_id", "class_id", "distance", "event_id"];

/// Returns the rows that pass the filter as CSV, oldest first, times in this zone (RFC 3339). However many there are, little
/// of it is in memory at a time. An error cuts the body off.
pub(crate) fn csv(attendance: Arc<Attendance>, filter: Filter, zone: TimeZone) -> Body {
    let (sender, receiver) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = write(&attendance, &filter, &zone, &sender) {
            tracing::error!(%error, "an export was cut off");
            // The client may have left already.
            let _ = sender.blocking_send(Err(error));
        }
    });
    Body::from_stream(unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))))
}

fn write(
    attendance: &Attendance,
    filter: &Filter,
    zone: &TimeZone,
    sender: &Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::with_capacity(2 * CHUNK));
    writer.write_record(HEADER)?;
    let mut failed = Ok(());
    attendance
        .visit(filter, |row| {
            failed = writer
                .write_record(record(row, zone))
                .map_err(io::Error::from)
                .and_then(|()| if writer.get_ref().len() < CHUNK { Ok(()) } else { send(&mut writer, sender) });
            failed.is_ok()
        })
        .map_err(io::Error::other)?;
    failed.and_then(|()| send(&mut writer, sender))
}

/// Hands over what is written; fails if nobody reads any more.
fn send(writer: &mut csv::Writer<Vec<u8>>, sender: &Sender<io::Result<Bytes>>) -> io::Result<()> {
    let full = std::mem::replace(writer, csv::Writer::from_writer(Vec::with_capacity(2 * CHUNK)));
    let bytes = full.into_inner().map_err(|error| error.into_error())?;
    sender.blocking_send(Ok(bytes.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

fn record(row: Row, zone: &TimeZone) -> [String; 7] {
    let time = Timestamp::from_second(row.timestamp).map(|at| at.to_zoned(zone.clone()));
    let time = time.map_or_else(|_| row.timestamp.to_string(), |at| at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string());
    [
        row.student_id,
        time,
        row.source,
        plain(row.device_id.unwrap_or_default()),
        plain(row.class_id.unwrap_or_default()),
        row.distance.map_or_else(String::new, |distance| distance.to_string()),
        row.event_id,
    ]
}

/// Returns the text so that no spreadsheet takes it for a formula: whoever posts frames chooses the names of camera and class.
fn plain(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}
