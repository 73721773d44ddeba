use std::process::ExitCode;

use anyhow::{Result, bail};
use attendance::{AttendanceSettings, Environment, EventId, EventStatus, OutboxEntry, Timestamp, compose};
use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use comfy_table::Table;
use jiff::tz::TimeZone;
use strum::VariantArray;

use crate::adapters::Adapters;
use crate::places::Places;
use crate::table::table;

/// The subcommands of `events`.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the newest events and the state of their delivery
    List {
        /// Only events with this status
        #[arg(long, value_parser = status())]
        status: Option<EventStatus>,
        /// The most events to list
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Have a running server send events again, within a second
    Replay {
        /// Event ids
        #[arg(required_unless_present = "all_dead")]
        events: Vec<String>,
        /// Every event that was given up (status dead)
        #[arg(long, conflicts_with = "events")]
        all_dead: bool,
    },
}

fn status() -> impl TypedValueParser<Value = EventStatus> {
    let words = EventStatus::VARIANTS.iter().map(<&'static str>::from);
    PossibleValuesParser::new(words).map(|word| word.parse().expect("one of the words"))
}

pub(crate) fn run(command: &Command, places: &Places, environment: &Environment) -> Result<ExitCode> {
    let ports = Adapters::open(&places.data(environment))?.ports;
    let outbox = compose(ports, AttendanceSettings::default()).outbox;
    tokio::runtime::Runtime::new()?.block_on(async {
        match command {
            Command::List { status, limit } => {
                let page = outbox.list(*status, *limit, None).await?;
                println!("{}", listing(&page.events)?);
                if page.next.is_some() {
                    println!("there are more; raise --limit");
                }
            }
            Command::Replay { events: ids, all_dead: false } => {
                for text in ids {
                    let id = EventId::parse(text);
                    let Some(id) = id else { bail!("`{text}` is no event id; `attendance events list` shows them") };
                    if !outbox.replay(id).await? {
                        bail!("there is no event {id}");
                    }
                    println!("{id}: will be sent again");
                }
            }
            Command::Replay { all_dead: true, .. } => {
                let (mut replayed, mut cursor) = (0, None);
                // Always on to older ones: a running server may give a replayed event up again at once.
                loop {
                    let page = outbox.list(Some(EventStatus::Dead), 100, cursor).await?;
                    for event in &page.events {
                        replayed += usize::from(outbox.replay(event.id).await?);
                    }
                    cursor = page.next;
                    if cursor.is_none() {
                        break;
                    }
                }
                println!("{replayed} events will be sent again");
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn listing(events: &[OutboxEntry]) -> Result<Table> {
    let mut table = table(["event", "seen", "student", "status", "tries", "next try", "last answer"]);
    let local = |at: Timestamp| -> Result<String> {
        let at = jiff::Timestamp::from_millisecond(i64::try_from(at.millis())?)?;
        Ok(at.to_zoned(TimeZone::system()).strftime("%F %T").to_string())
    };
    for event in events {
        let answer = event.attempts.last().map_or(String::new(), |attempt| {
            let status = attempt.http_status.map_or(String::new(), |s| format!("{s} "));
            format!("{status}{}", attempt.message.chars().take(80).collect::<String>())
        });
        table.add_row([
            event.id.to_string(),
            local(event.accepted)?,
            event.student.clone(),
            event.status.to_string(),
            event.attempts.len().to_string(),
            event.due().map_or_else(|| Ok(String::new()), local)?,
            answer,
        ]);
    }
    Ok(table)
}
