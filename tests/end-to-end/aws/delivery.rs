//! Events on their way through the queue, while everything fails.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attendance_end_to_end::{API_KEY, ENCODED_SECRET, Proxy, Target, pictures};
use attendance_receiver::{Attendance, Filter, Gate, Settings, router};
use jiff::tz::TimeZone;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::stack::{Stack, variable};

const EVENTS: usize = 300;
const CLIENTS: usize = 2;
/// How long the clients may take, and then how long the last event may take: one whose container was killed before it could
/// send a message is found two minutes later.
const PATIENCE: Duration = Duration::from_secs(400);

/// What the clients were told.
#[derive(Default)]
struct Told {
    sent: AtomicUsize,
    queued: AtomicUsize,
    cut_off: AtomicUsize,
}

impl Told {
    fn acknowledged(&self) -> usize {
        self.sent.load(Ordering::SeqCst) + self.queued.load(Ordering::SeqCst)
    }
}

pub(crate) async fn three_hundred_events_in_random_faults_all_arrive_and_count_once() {
    let stack = Stack::ready().await;
    let target = &stack.target;
    target.forget_everybody().await;
    stack.until("nothing is left of other tests", async || target.events("pending").await.is_empty()).await;
    let (sent_before, dead_before) = (target.events("sent").await, target.events("dead").await);
    let seed = std::env::var("ATTENDANCE_TEST_SEED")
        .ok()
        .map_or_else(|| fastrand::u64(..), |text| text.parse().expect("a seed is a number"));
    println!("ATTENDANCE_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::TempDir::new().expect("a folder");
    let attendance = folder.path().join("received.db");
    let receiver = serve_receiver(&attendance).await;
    stack.receiver.stop();
    let proxy = Proxy::start_at(&variable("ATTENDANCE_TEST_RECEIVER"), &receiver, random.u64(..)).await;
    // The messages that a killed container had read return soon; on AWS they take six minutes.
    stack.repeat_messages_after(10).await;

    let begun = Instant::now();
    let told = Arc::new(Told::default());
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS {
        clients.spawn(post_frames(n, target.clone(), told.clone()));
    }
    let mut kills = 0;
    while told.acknowledged() < EVENTS {
        tokio::time::sleep(Duration::from_millis(random.u64(300..2500))).await;
        match random.u32(..5) {
            0 => {
                proxy.set_down(true);
                tokio::time::sleep(Duration::from_millis(random.u64(300..2000))).await;
                proxy.set_down(false);
            }
            1 | 2 => kills += kill(&mut random, stack.processes("Realtime")),
            _ => kills += kill(&mut random, stack.processes("Deliver")),
        }
        assert!(begun.elapsed() < PATIENCE, "only {} events were accepted in time", told.acknowledged());
    }
    clients.join_all().await;
    println!("{} events acknowledged, {kills} kills, after {:.0?}", told.acknowledged(), begun.elapsed());
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        kills += kill(&mut random, stack.processes("Deliver"));
    }
    proxy.calm();
    let calm = Instant::now();
    loop {
        let pending = target.events("pending").await.len();
        if pending == 0 {
            break;
        }
        assert!(calm.elapsed() < PATIENCE, "{pending} events are pending");
        stack.wake_overdue().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    println!("nothing pending {:.0?} after the last fault", calm.elapsed());

    assert_eq!(target.events("dead").await, dead_before);
    let stored: HashSet<String> = target.events("sent").await.difference(&sent_before).cloned().collect();
    let rows = Attendance::open(&attendance).expect("opened").list(&Filter::default(), usize::MAX).expect("listed");
    let counted: HashSet<String> = rows.iter().map(|row| row.event_id.clone()).collect();
    assert_eq!(counted.len(), rows.len(), "each once");
    assert_eq!(counted, stored, "every event of the outbox, and no other");
    let (acknowledged, cut_off) = (told.acknowledged(), told.cut_off.load(Ordering::SeqCst));
    assert!(
        (acknowledged..=acknowledged + cut_off).contains(&stored.len()),
        "{} stored, {acknowledged} acknowledged, {cut_off} cut off",
        stored.len()
    );
    let repeats = proxy.arrived().values().filter(|times| **times > 1).count();
    let (tries, queued): (usize, _) = (proxy.met().values().sum(), told.queued.load(Ordering::SeqCst));
    println!("{} events, {tries} tries, {repeats} arrived more than once: {:?}", stored.len(), proxy.met());
    // Otherwise the case proves nothing.
    assert!(kills >= 5 && repeats >= 10 && queued >= 50, "{kills} kills, {repeats} repeats, {queued} queued");
    stack.repeat_messages_after(360).await;
}

/// The URL of a small Attendance API that counts every event once.
async fn serve_receiver(attendance: &Path) -> String {
    let settings = Settings {
        gate: Gate::new(Some(API_KEY), Some(ENCODED_SECRET)).expect("a key and a secret"),
        attendance: Attendance::open(attendance).expect("opened"),
        window: Duration::ZERO,
        zone: TimeZone::UTC,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/attendance", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router(settings)).await });
    url
}

/// Kills one of these processes, if there is one, as a lost machine would, and returns how many.
fn kill(random: &mut fastrand::Rng, processes: Vec<u32>) -> usize {
    let Some(process) = random.choice(processes) else { return 0 };
    let killed = Command::new("kill").args(["-9", &process.to_string()]).status();
    usize::from(killed.expect("kill is there").success())
}

/// Posts frames of a stranger, each from another camera, until enough events are acknowledged.
async fn post_frames(client: usize, target: Target, told: Arc<Told>) {
    let picture = pictures::small(&pictures::obama(1));
    let mut frame = 0;
    while told.acknowledged() < EVENTS {
        let path =
            format!("/recognize/realtime?send_unknown=true&device_id=storm-{}-{client}-{frame}", std::process::id());
        frame += 1;
        let form = Form::new().part("image", Part::bytes(picture.to_vec()).file_name("frame"));
        // The request of a killed container gets a 502 or no answer.
        let answer = target.request(Method::POST, &path).multipart(form).send().await;
        let Some(answer) = answer.ok().filter(|answer| answer.status().is_success()) else {
            told.cut_off.fetch_add(1, Ordering::SeqCst);
            continue;
        };
        let answer: Value = answer.json().await.expect("JSON");
        assert_eq!(answer["dispatch"].as_array().map(Vec::len), Some(1), "{answer}");
        let counted = match answer["dispatch"][0]["report"]["status"].as_str() {
            Some("sent") => &told.sent,
            Some("failed") => &told.queued,
            other => panic!("{other:?} in {answer}"),
        };
        counted.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) async fn an_event_whose_message_was_lost_is_found_by_the_clock() {
    let stack = Stack::ready().await;
    stack.target.forget_everybody().await;
    let student = stack.target.enroll_new("obama", &pictures::obama(0)).await;
    stack.target.realtime("", &pictures::obama(1)).await;
    let id = stack.receiver.wait_for(&student, 1).await[0].json()["event_id"].as_str().expect("an id").to_owned();
    // Now as if the container had been killed three minutes ago, between storing the event and sending it.
    let then = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() - 180_000;
    let mut row = None;
    for shard in 0..4 {
        let key = json!({"pk": {"S": format!("event#{shard}")}, "sk": {"S": id}});
        let found = stack.table("GetItem", json!({"Key": key, "ConsistentRead": true})).await;
        row = row.or(found.get("Item").cloned());
    }
    let mut row = row.expect("it is stored");
    for (name, value) in [("status", json!({"S": "pending"})), ("status_id", json!({"S": format!("pending#{id}")}))] {
        row[name] = value;
    }
    for name in ["accepted", "round_started", "next_try", "leased_until", "due"] {
        row[name] = json!({"N": then.to_string()});
    }
    row["attempts"] = json!({"S": "[]"});
    row["round_attempts"] = json!({"N": "0"});
    row.as_object_mut().expect("a row").remove("expires");
    stack.table("PutItem", json!({"Item": row})).await;
    let mut subscriber = stack.target.subscribe(None).await;
    stack.wake_overdue().await;
    let calls = stack.receiver.wait_for(&student, 2).await;
    assert_eq!(calls[1].body, calls[0].body, "the same event");
    let told = subscriber.next_of("delivery").await;
    assert_eq!((&told["event_id"], &told["status"]), (&json!(id), &json!("sent")));
    stack.wake_overdue().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(stack.receiver.calls_about(&student).len(), 2, "once");
}

pub(crate) async fn a_message_that_is_none_ends_in_the_dead_letter_queue() {
    let stack = Stack::ready().await;
    stack.repeat_messages_after(1).await;
    let poison = format!("no wakeup {}", std::process::id());
    stack.send_message(&poison).await;
    let is_dead = async || stack.dead_letters().await.contains(&poison);
    stack.until("it was given up", is_dead).await;
    stack.repeat_messages_after(360).await;
}

pub(crate) async fn a_replayed_event_is_sent_at_once() {
    let stack = Stack::ready().await;
    stack.target.forget_everybody().await;
    stack.receiver.answer(410, "gone");
    let student = stack.target.enroll_new("obama", &pictures::obama(0)).await;
    stack.target.realtime("", &pictures::obama(1)).await;
    let id = stack.receiver.wait_for(&student, 1).await[0].json()["event_id"].as_str().expect("an id").to_owned();
    assert!(stack.target.events("dead").await.contains(&id), "410 ends an event");
    stack.receiver.answer(200, "{}");
    let replayed = stack.target.request(Method::POST, &format!("/events/{id}/replay")).send().await.expect("sent");
    assert_eq!(replayed.status().as_u16(), 200);
    stack.receiver.wait_for(&student, 2).await;
    stack.until("it is sent", async || stack.target.events("sent").await.contains(&id)).await;
}
