//! Reading the files of workloads and natives: the first error, with file, line and column.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{
    Access, Certificate, CertificateHosts, Folder, Http, Native, Need, Reference, SecretForm, Template, Workload,
    render,
};
use crate::role::{Name, RoleError, Text, Unit, parse};

/// What is written in `workload.toml`; role and name are those of its folders. Unknown keys are errors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWorkload {
    title: Text,
    image: Reference,
    why: Text,
    units: Vec<Unit>,
    http: Option<Http>,
    #[serde(default)]
    secrets: BTreeMap<Name, SecretForm>,
    #[serde(default)]
    folders: Vec<Folder>,
    #[serde(default)]
    needs: Vec<Spanned<Need>>,
    certificate: Option<Spanned<Certificate>>,
    #[serde(default)]
    files: BTreeMap<String, Spanned<Access>>,
}

/// What is written in `native.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNative {
    why: Text,
    #[serde(default)]
    files: BTreeMap<String, Spanned<Access>>,
}

impl Workload {
    /// Reads `text`, the file of the workload `name` of `role`, which is what is in `file` (used in messages only). `templates` are what
    /// is in `files/` beside it: where it was read, the path there, and the text.
    ///
    /// # Errors
    /// The first thing that is wrong: syntax, an unknown or missing key, a value out of its form, a file or secret that is not there, a
    /// template that is none.
    pub fn parse(
        text: &str,
        file: &str,
        role: Name,
        name: Name,
        templates: &[(&str, &str, &str)],
    ) -> Result<Self, RoleError> {
        let raw: RawWorkload = parse::read(text, file)?;
        for need in &raw.needs {
            let secret = &need.get_ref().secret;
            if !raw.secrets.contains_key(secret) {
                let message = format!("there is no secret `{secret}`: add it to [secrets], or correct the name");
                return Err(parse::wrong(text, file, need.span().start, message));
            }
        }
        let nameless = |certificate: &&Spanned<Certificate>| {
            raw.http.is_none() && certificate.get_ref().hosts == CertificateHosts::Own
        };
        if let Some(certificate) = raw.certificate.as_ref().filter(nameless) {
            let message = "hosts = \"own\", and the workload has no host name: add [http], or write hosts = \"all\"";
            return Err(parse::wrong(text, file, certificate.span().start, message.to_owned()));
        }
        Ok(Self {
            role,
            name,
            title: raw.title,
            image: raw.image,
            why: raw.why,
            units: raw.units,
            http: raw.http,
            secrets: raw.secrets,
            folders: raw.folders,
            needs: raw.needs.into_iter().map(Spanned::into_inner).collect(),
            certificate: raw.certificate.map(Spanned::into_inner),
            templates: with_access(text, file, raw.files, templates)?,
        })
    }
}

impl Native {
    /// As [`Workload::parse`].
    ///
    /// # Errors
    /// As there.
    pub fn parse(
        text: &str,
        file: &str,
        role: Name,
        name: Name,
        templates: &[(&str, &str, &str)],
    ) -> Result<Self, RoleError> {
        let raw: RawNative = parse::read(text, file)?;
        Ok(Self { role, name, why: raw.why, templates: with_access(text, file, raw.files, templates)? })
    }
}

/// The templates, each with who may read it.
fn with_access(
    text: &str,
    file: &str,
    mut said: BTreeMap<String, Spanned<Access>>,
    templates: &[(&str, &str, &str)],
) -> Result<Vec<Template>, RoleError> {
    let mut read = Vec::new();
    for (from, path, template) in templates {
        let path = format!("/{path}");
        render::check(from, template)?;
        let access = said.remove(&path).map(Spanned::into_inner).unwrap_or_default();
        read.push(Template { file: (*from).to_owned(), path, text: (*template).to_owned(), access });
    }
    if let Some((path, access)) = said.first_key_value() {
        let message = format!("there is no template of `{}`: add it below files/, or remove this", path.escape_debug());
        return Err(parse::wrong(text, file, access.span().start, message));
    }
    Ok(read)
}
