//! The function behind the WebSocket API's `$connect`: it accepts a client that has a key, and subscribes it.
//!
//! Nothing can be posted to a connection before this function has answered. A client that wants earlier messages asks for
//! them afterwards.

use attendance::Scope;
use attendance_lambda::Container;
use aws_lambda_events::apigw::ApiGatewayWebsocketProxyRequest;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let container = Container::start().await?;
    let (access, push) = (container.access()?, container.aws.push());
    let connect = async |event: LambdaEvent<ApiGatewayWebsocketProxyRequest>| -> Result<Value, Error> {
        let request = event.payload;
        // A browser's WebSocket cannot send headers.
        let by_query = request.query_string_parameters.first("key").is_some_and(|key| access.admits(key, Scope::Watch));
        if !by_query && !access.admits_headers(&request.headers, Scope::Watch) {
            return Ok(json!({"statusCode": 401}));
        }
        let id = request.request_context.connection_id.ok_or("a connection without an id")?;
        push.connect(&id).await?;
        Ok(json!({"statusCode": 200}))
    };
    lambda_runtime::run(service_fn(connect)).await
}
