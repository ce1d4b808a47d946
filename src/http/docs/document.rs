//! The OpenAPI 3.1 document of a port, from the table of its routes and the types that they read
//! and write.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    cim::Notification,
    port::DescribedPort,
    table::{RouteDoc, SchemaOf},
};
use crate::http::problem::{Kind, MEDIA_TYPE, ProblemDetails};

/// The statuses whose errors may be about one message.
const OF_MESSAGE: [u16; 3] = [400, 404, 409];
/// Errors of every route that needs a key.
const KEYED: [Kind; 4] = [Kind::WrongKey, Kind::ForeignPage, Kind::ForeignHost, Kind::Busy];
/// Errors of every route that takes a body.
const WITH_BODY: [Kind; 5] =
    [Kind::MalformedBody, Kind::IncompleteBody, Kind::SlowBody, Kind::TooLarge, Kind::UnsupportedType];

/// Makes the schemas of what is read and of what is written: a field with a default may be missing
/// in one and not in the other.
struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    })
}

impl Schemas {
    fn new() -> Self {
        Self {
            read: settings().for_deserialize().into_generator(),
            written: settings().for_serialize().into_generator(),
        }
    }

    fn read(&mut self, of: SchemaOf) -> Value {
        of(&mut self.read).to_value()
    }

    fn written(&mut self, of: SchemaOf) -> Value {
        of(&mut self.written).to_value()
    }

    fn of<T: JsonSchema>(&mut self) -> Value {
        self.written.subschema_for::<T>().to_value()
    }

    /// Returns the fields of a type: name, schema, and whether it is required.
    fn fields(&mut self, of: SchemaOf) -> Vec<(String, Value, bool)> {
        let reference = self.read(of);
        let name = reference.get("$ref").and_then(Value::as_str).and_then(|at| at.rsplit('/').next());
        let schema = match name {
            Some(name) => self.read.definitions().get(name).cloned().unwrap_or_default(),
            None => reference,
        };
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        let fields = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let of = |(name, schema): (String, Value)| {
            let is_required = required.iter().any(|required| *required == *name);
            (name, schema, is_required)
        };
        fields.into_iter().map(of).collect()
    }

    fn components(mut self) -> Map<String, Value> {
        let mut all = self.written.take_definitions(true);
        all.extend(self.read.take_definitions(true));
        all
    }
}

/// Returns the document.
pub fn document(port: DescribedPort, routes: &[RouteDoc]) -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for route in routes {
        let operation = operation(route, &mut schemas);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": port.title(),
            "description": port.summary(),
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas.components(),
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(route: &RouteDoc, schemas: &mut Schemas) -> Value {
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": parameters(route, schemas),
        "responses": responses(route, schemas),
        "security": if route.is_open { json!([]) } else { json!([{ "key": [] }]) },
    });
    if let (Some((schema, media_type, example)), Some(operation)) = (route.body, operation.as_object_mut()) {
        let example = serde_json::from_str(example).unwrap_or_else(|_| Value::from(example));
        let content = json!({ media_type: { "schema": schemas.read(schema), "example": example } });
        operation.insert("requestBody".into(), json!({ "content": content }));
    }
    operation
}

/// Returns a name for the functions of generated clients, such as `getApiMessagesId`.
fn operation_id(route: &RouteDoc) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(route.method.as_str().to_ascii_lowercase(), |mut name, word| {
        let (first, rest) = word.split_at(1);
        name.push_str(&first.to_ascii_uppercase());
        name.push_str(rest);
        name
    })
}

fn parameters(route: &RouteDoc, schemas: &mut Schemas) -> Vec<Value> {
    let mut all = Vec::new();
    for name in route.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
        let values = route.values.iter().find(|(of, _)| *of == name);
        let schema = match values {
            Some((_, values)) => json!({ "type": "string", "enum": values }),
            None => json!({ "type": "string" }),
        };
        all.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
    }
    for (name, mut schema, required) in route.query.map(|of| schemas.fields(of)).unwrap_or_default() {
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut parameter = json!({ "name": name, "in": "query", "required": required, "schema": schema });
        if let (Some(description), Some(parameter)) = (description, parameter.as_object_mut()) {
            parameter.insert("description".into(), description);
        }
        all.push(parameter);
    }
    all
}

/// Returns the kinds of errors of a route.
pub(super) fn kinds(route: &RouteDoc) -> Vec<Kind> {
    let mut all = route.errors.clone();
    if !route.is_open {
        all.extend(KEYED);
    }
    if route.body.is_some() {
        all.extend(WITH_BODY);
    }
    if route.query.is_some() {
        all.push(Kind::WrongParameter);
    }
    all
}

fn responses(route: &RouteDoc, schemas: &mut Schemas) -> Map<String, Value> {
    let mut all = Map::new();
    for (status, media_type, schema) in &route.answers {
        let content = match schema {
            Some(schema) => json!({ *media_type: { "schema": schemas.written(*schema) } }),
            None => json!({ *media_type: {} }),
        };
        all.insert(status.to_string(), json!({ "description": "Done", "content": content }));
    }
    for kind in kinds(route) {
        let of = kind.explained();
        let status = of.status.as_u16();
        let mut content = json!({ MEDIA_TYPE: { "schema": schemas.of::<ProblemDetails>() } });
        if let (true, Some(content)) =
            (route.notifies && OF_MESSAGE.contains(&status), content.as_object_mut())
        {
            content.insert("application/json".into(), json!({ "schema": schemas.of::<Notification>() }));
        }
        let told = format!("{}: {}", of.code, of.title);
        let response = all.entry(status.to_string());
        let response = response.or_insert_with(|| json!({ "description": "", "content": content }));
        if let Some(Value::String(description)) = response.get_mut("description") {
            let comma = if description.is_empty() { "" } else { "; " };
            description.push_str(&format!("{comma}{told}"));
        }
    }
    all
}
