use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn};

/// Returns the routes, each of whose answers says in `x-attendance-instance` which process gave it and how many it gave
/// before: if a platform starts and stops processes, that tells a warm one from a cold one.
pub fn numbered(routes: Router) -> Router {
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let instance: Arc<str> = format!("{begun:x}-{:x}", std::process::id()).into();
    let answered = Arc::new(AtomicU64::new(0));
    routes.layer(from_fn(move |request: Request, next: Next| {
        let (instance, answered) = (instance.clone(), answered.clone());
        async move {
            let mut response = next.run(request).await;
            let value = format!("{instance}/{}", answered.fetch_add(1, Ordering::Relaxed));
            let value = HeaderValue::try_from(value).expect("hex digits, a dash and a slash");
            response.headers_mut().insert(HeaderName::from_static("x-attendance-instance"), value);
            response
        }
    }))
}
