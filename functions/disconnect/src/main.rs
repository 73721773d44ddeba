//! The function behind the WebSocket API's `$disconnect` and `$default`: it unsubscribes a client, and answers what a client
//! sends.

use attendance_lambda::Container;
use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a client may send. Other texts are ignored.
#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum Action {
    Ping,
    Resume { since: u64 },
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let push = Container::start().await?.aws.push();
    let answer = async |event: LambdaEvent<ApiGatewayWebsocketProxyRequest>| -> Result<Value, Error> {
        let request = event.payload;
        let id = request.request_context.connection_id.ok_or("a connection without an id")?;
        if request.request_context.route_key.as_deref() == Some("$disconnect") {
            push.disconnect(&id).await?;
        } else {
            match serde_json::from_str(request.body.as_deref().unwrap_or_default()) {
                Ok(Action::Ping) => push.send(&id, r#"{"type":"pong"}"#).await?,
                Ok(Action::Resume { since }) => push.resume(&id, since).await?,
                Err(_) => {}
            }
        }
        Ok(json!({"statusCode": 200}))
    };
    lambda_runtime::run(service_fn(answer)).await
}
