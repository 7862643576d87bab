//! Small steps in a tree of XML elements.

use ::xml::reader::{EventReader, ParserConfig, XmlEvent};
use xmltree::{Element, XMLNode};

/// Elements within each other at most, as libxml2 reads them for libvirt (`xmlParserMaxDepth`). The tree is built and taken down by
/// functions that call themselves, so that some thousands would overflow the stack.
const DEEPEST: usize = 256;

/// Reads a text; the error says what is wrong with it.
pub fn parse(text: &str) -> Result<Element, String> {
    // As the tree reads it.
    let config = ParserConfig::new().ignore_comments(false);
    let mut depth = 0_usize;
    for event in EventReader::new_with_config(text.as_bytes(), config) {
        match event.map_err(|e| e.to_string())? {
            XmlEvent::StartElement { .. } => depth += 1,
            XmlEvent::EndElement { .. } => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(format!(
                "more than {DEEPEST} elements are within each other"
            ));
        }
    }
    Element::parse(text.as_bytes()).map_err(|e| e.to_string())
}

/// The element at the end of a path of names.
pub fn find<'a>(root: &'a Element, path: &[&str]) -> Option<&'a Element> {
    path.iter()
        .try_fold(root, |element, name| element.get_child(*name))
}

/// The text at the end of a path of names; none where there is none.
pub fn text(root: &Element, path: &[&str]) -> Option<String> {
    let text = find(root, path)?.get_text()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// An attribute of the element at the end of a path of names.
pub fn attribute(root: &Element, path: &[&str], name: &str) -> Option<String> {
    find(root, path)?.attributes.get(name).cloned()
}

/// A new element with attributes.
pub fn element(name: &str, attributes: &[(&str, &str)]) -> Element {
    let mut element = Element::new(name);
    for (name, value) in attributes {
        element
            .attributes
            .insert((*name).into(), (*value).to_owned());
    }
    element
}

/// A new element with text in it.
pub fn with_text(name: &str, text: &str) -> Element {
    let mut element = Element::new(name);
    element.children.push(XMLNode::Text(text.to_owned()));
    element
}

/// The child of that name, made where it is missing.
pub fn child<'a>(parent: &'a mut Element, name: &str) -> &'a mut Element {
    let is_it = |node: &XMLNode| matches!(node, XMLNode::Element(e) if e.name == name);
    let at = match parent.children.iter().position(is_it) {
        Some(at) => at,
        None => {
            parent.children.push(XMLNode::Element(Element::new(name)));
            parent.children.len() - 1
        }
    };
    match &mut parent.children[at] {
        XMLNode::Element(element) => element,
        _ => unreachable!("an element was found or made there"),
    }
}

/// Sets the text of the child of that name, whatever else was in it; without a text it goes away.
pub fn set_text(parent: &mut Element, name: &str, text: Option<&str>) {
    match text {
        Some(text) => child(parent, name).children = vec![XMLNode::Text(text.to_owned())],
        None => remove(parent, |element| element.name == name),
    }
}

/// Removes the child elements that fit.
pub fn remove(parent: &mut Element, fits: impl Fn(&Element) -> bool) {
    parent
        .children
        .retain(|node| !matches!(node, XMLNode::Element(element) if fits(element)));
}

/// The child elements of that name.
pub fn children<'a>(parent: &'a Element, name: &'a str) -> impl Iterator<Item = &'a Element> {
    parent.children.iter().filter_map(move |node| match node {
        XMLNode::Element(element) if element.name == name => Some(element),
        _ => None,
    })
}

/// As text, indented, without the declaration in front.
pub fn print(root: &Element) -> String {
    let config = xmltree::EmitterConfig::new()
        .perform_indent(true)
        .write_document_declaration(false);
    let mut bytes = Vec::new();
    // Writing to memory does not fail, and names come from XML that was read or from here.
    let _ = root.write_with_config(&mut bytes, config);
    String::from_utf8_lossy(&bytes).into_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_without_end_is_refused() {
        let nested = |n: usize| format!("{}{}", "<a>".repeat(n), "</a>".repeat(n));
        assert!(parse(&nested(DEEPEST)).is_ok());
        for n in [DEEPEST + 1, 100_000] {
            let error = parse(&nested(n)).unwrap_err();
            assert!(error.contains("256 elements"), "{error}");
        }
        // It ends in the middle, too.
        assert!(parse(&"<a>".repeat(100_000)).is_err());
        // One after another they are as many as there are.
        assert!(parse(&format!("<a>{}</a>", "<b/>".repeat(10_000))).is_ok());
        for bad in ["", "<a", "<a></b>", "text"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn attributes_stay_in_their_order() {
        let text = "<a z=\"1\" b=\"2\" y=\"3\" c=\"4\" x=\"5\" d=\"6\" />\n";
        assert_eq!(print(&parse(text).unwrap()), text);
    }
}
