//! The contract suites over a data folder. Every handle is an own opening of the folder, as another process has it.

use attendance::ports::{EventStore, GalleryStore};
use attendance_embedded::Database;
use attendance_testkit::contract::{self, SubscribedPush, opener};
use tempfile::TempDir;

/// Opens a fresh data folder again and again; it is deleted with the last use.
fn folder() -> impl Fn() -> Database + Send + Sync {
    let data = TempDir::new().expect("a temporary folder");
    move || Database::open(data.path()).expect("the data folder opens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gallery_is_a_gallery_store() {
    contract::gallery_store(async || {
        let open = folder();
        opener::<dyn GalleryStore>(move || open().gallery())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outbox_is_an_event_store() {
    contract::event_store(async || {
        let open = folder();
        opener::<dyn EventStore>(move || open().events())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hub_pushes() {
    contract::push(async || {
        let open = folder();
        opener::<dyn SubscribedPush>(move || open().hub())
    })
    .await;
}
