//! From templates to files. Values of secrets are nowhere in here: a file is pieces of text and places of secrets, which the target fills
//! in. A file with such a place that others may read is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::{Value, json};

use super::{Access, Facts, Native, SecretId, Template, Workload};
use crate::role::{Name, RoleError};

/// Around the name of a secret in a rendered text; private to this module (Unicode 16.0, 23.5), and refused in templates.
const OPEN: char = '\u{e000}';
/// The same for the SHA-256 of a secret.
const OPEN_SHA256: char = '\u{e001}';
/// The end of either.
const CLOSE: char = '\u{e002}';

/// A file as it will lie on a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Path, absolute.
    pub path: String,
    /// Who may read it.
    pub access: Access,
    /// What it holds, one after the other.
    pub pieces: Vec<Piece>,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// This text.
    Text(String),
    /// A secret.
    Secret(SecretId),
    /// The SHA-256 of a secret in lower-case hexadecimal digits.
    SecretSha256(SecretId),
}

/// Why a template makes no file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Something that it needs is not known.
    #[error("{file}:{line}: {message}")]
    Template {
        /// The template.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A secret for everybody's eyes.
    #[error("{file}: it holds a secret, and its mode is {mode}: give it one that only its owner may read")]
    Exposed {
        /// The template.
        file: String,
        /// Its mode.
        mode: String,
    },
    /// Two templates of one role make one file.
    #[error("{first} and {second} both make `{path}`: give one of them another name")]
    Twice {
        /// A template.
        first: String,
        /// Another.
        second: String,
        /// The file on the guest.
        path: String,
    },
}

impl Facts<'_> {
    /// The files of a role's workloads that are there, and of its natives that any workload which is there needs.
    ///
    /// # Errors
    /// A template needs what is not known, or shows a secret to others.
    pub fn files(&self, role: &str) -> Result<Vec<File>, RenderError> {
        let mut made: Vec<(&Template, File)> = Vec::new();
        for workload in self.of_role(role) {
            let context = self.of_workload(workload);
            for template in &workload.templates {
                made.push((template, file(template, &context, Some(workload))?));
            }
        }
        for native in self.catalogue.natives_of(role) {
            let needs = self.needs_of(native);
            if !needs.is_empty() {
                let mut context = self.common();
                context["needs"] = Value::Array(needs);
                for template in &native.templates {
                    made.push((template, file(template, &context, None)?));
                }
            }
        }
        let mut paths: BTreeMap<&str, &str> = BTreeMap::new();
        for (template, _) in &made {
            if let Some(first) = paths.insert(&template.path, &template.file) {
                let [first, second, path] = [first, &template.file, &template.path].map(str::to_owned);
                return Err(RenderError::Twice { first, second, path });
            }
        }
        Ok(made.into_iter().map(|(_, file)| file).collect())
    }

    /// What every template may use.
    fn common(&self) -> Value {
        let mut roles = serde_json::Map::new();
        for (role, addresses) in &self.roles {
            let mut known = serde_json::Map::new();
            for (key, address) in [("internal", addresses.internal), ("public", addresses.public)] {
                known.extend(address.map(|address| (key.to_owned(), json!(address))));
            }
            roles.insert(role.to_string(), known.into());
        }
        let present = |workload: &&&Workload| self.hosts.contains_key(&workload.name);
        let hosts =
            self.present.iter().filter(present).map(|workload| (workload.name.to_string(), json!(self.host(workload))));
        json!({
            "domain": self.domain,
            "email": self.email,
            "tls": self.tls,
            "acme_directory": self.acme_directory,
            "hosts": hosts.collect::<serde_json::Map<_, _>>(),
            "roles": roles,
            "routes": self.present.iter().filter_map(|workload| self.route(workload)).collect::<Vec<_>>(),
        })
    }

    fn of_workload(&self, workload: &Workload) -> Value {
        let mut context = self.common();
        context["name"] = json!(workload.name);
        context["role"] = json!(workload.role);
        context["title"] = json!(workload.title);
        context["image"] = json!(workload.image);
        context["folders"] = json!(workload.folders);
        if let (Some(host), Some(http)) = (self.host(workload), &workload.http) {
            context["host"] = json!(host);
            context["port"] = json!(http.port);
        }
        if let Some(certificate) = &workload.certificate {
            context["certificate"] = json!({ "certificate": certificate.certificate, "key": certificate.key });
        }
        context
    }

    /// How a workload is reached by who routes; without an address of its machine, by none, and a template that asks for it is refused.
    fn route(&self, workload: &Workload) -> Option<Value> {
        let http = workload.http.as_ref()?;
        let mut route = json!({
            "name": workload.name,
            "host": self.host(workload)?,
            "domain_paths": http.domain_paths,
            "paths": http.paths,
        });
        if let Some(address) = self.roles.get(&workload.role).and_then(|addresses| addresses.internal) {
            let address = match address {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => format!("[{address}]"),
            };
            route["url"] = json!(format!("http://{address}:{}", http.port));
        }
        Some(route)
    }

    /// What workloads that are there need of a native.
    fn needs_of(&self, native: &Native) -> Vec<Value> {
        let each = self.present.iter().flat_map(|workload| workload.needs.iter().map(move |need| (workload, need)));
        let own = each.filter(|(_, need)| need.role == native.role && need.native == native.name);
        own.map(|(workload, need)| {
            let secret = format!("{}/{}/{}", workload.role, workload.name, need.secret);
            let mut value = json!({
                "workload": workload.name,
                "account": need.account,
                "local": workload.role == native.role,
                "secret": format!("{OPEN}{secret}{CLOSE}"),
                "secret_sha256": format!("{OPEN_SHA256}{secret}{CLOSE}"),
            });
            if let Some(address) = self.roles.get(&workload.role).and_then(|addresses| addresses.internal) {
                value["address"] = json!(address);
            }
            value
        })
        .collect()
    }
}

/// What a template is read with: what is not there is an error, and lines of statements leave nothing behind.
fn environment<'t>() -> Result<Environment<'t>, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // So that errors know their places.
    environment.set_debug(true);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
    environment.set_syntax(syntax.build()?);
    Ok(environment)
}

/// Whether a text is a template at all.
pub(super) fn check(file: &str, text: &str) -> Result<(), RoleError> {
    let at = |line: usize, message: String| RoleError { file: file.to_owned(), line, column: 1, message };
    if let Some(line) = text.lines().position(|line| line.contains([OPEN, OPEN_SHA256, CLOSE])) {
        return Err(at(line + 1, "the character is not possible in a template: remove it".to_owned()));
    }
    let parsed = environment().and_then(|environment| environment.template_from_named_str(file, text).map(|_| ()));
    parsed.map_err(|error| at(error.line().unwrap_or(1), said(&error, text)))
}

/// One file; `workload` is whose secrets it may use by name.
fn file(template: &Template, context: &Value, workload: Option<&Workload>) -> Result<File, RenderError> {
    let wrong = |error: Error| RenderError::Template {
        file: template.file.clone(),
        line: error.line().unwrap_or(1),
        message: said(&error, &template.text),
    };
    let mut environment = environment().map_err(wrong)?;
    if let Some(workload) = workload {
        for (name, open) in [("secret", OPEN), ("secret_sha256", OPEN_SHA256)] {
            let secrets: BTreeSet<String> = workload.secrets.keys().map(ToString::to_string).collect();
            let of = format!("{}/{}", workload.role, workload.name);
            environment.add_function(name, move |secret: String| {
                if secrets.contains(&secret) {
                    return Ok(format!("{open}{of}/{secret}{CLOSE}"));
                }
                let message = format!("there is no secret `{secret}` in the workload's file");
                Err(Error::new(ErrorKind::InvalidOperation, message))
            });
        }
    }
    let rendered = environment.template_from_named_str(&template.file, &template.text).map_err(wrong)?;
    let text = rendered.render(Serde(context)).map_err(wrong)?;
    let pieces = split(&text);
    let is_secret = pieces.iter().any(|piece| !matches!(piece, Piece::Text(_)));
    if is_secret && !template.access.mode.is_private() {
        let (file, mode) = (template.file.clone(), template.access.mode.into());
        return Err(RenderError::Exposed { file, mode });
    }
    Ok(File { path: template.path.clone(), access: template.access.clone(), pieces })
}

/// The pieces of a rendered text.
fn split(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find([OPEN, OPEN_SHA256]) {
        let (before, marked) = rest.split_at(at);
        let is_sha256 = marked.starts_with(OPEN_SHA256);
        let Some((name, after)) = marked[OPEN.len_utf8()..].split_once(CLOSE) else { break };
        let names: Vec<Name> = name.split('/').filter_map(|name| Name::try_from(name.to_owned()).ok()).collect();
        let Ok([role, workload, name]) = <[Name; 3]>::try_from(names) else { break };
        let id = SecretId { role, workload, name };
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        pieces.push(if is_sha256 { Piece::SecretSha256(id) } else { Piece::Secret(id) });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    pieces
}

/// What the template engine says of `text`, in one line.
fn said(error: &Error, text: &str) -> String {
    let kind = error.kind().to_string();
    let place = || Some(format!("`{}`", text.get(error.range()?)?));
    match error.detail().map(str::to_owned).or_else(place) {
        Some(detail) => format!("{kind}: {detail}"),
        None => kind,
    }
}
