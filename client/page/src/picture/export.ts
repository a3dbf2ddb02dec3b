// Pictures as files: a drawn SVG with its own style sheet, and the same as a PNG.

import styles from "./diagram.css?inline";

const SVG = "http://www.w3.org/2000/svg";

/** Return a drawn picture as an SVG document that needs nothing else. */
export function svgDocument(drawn: SVGSVGElement): string {
  const copy = drawn.cloneNode(true) as SVGSVGElement;
  copy.setAttribute("xmlns", SVG);
  for (const element of copy.querySelectorAll("[tabindex], [role], [aria-pressed]")) {
    for (const name of ["tabindex", "role", "aria-pressed"]) element.removeAttribute(name);
  }
  const text = new XMLSerializer().serializeToString(copy);
  // Into the text, since a style element in the page's own document would be against its content security policy.
  return text.replace(/^<svg[^>]*>/, (tag) => `${tag}<style>${styles.replaceAll("<", "")}</style>`);
}

/** Return a drawn picture as a PNG of twice its size. */
export async function pngOf(drawn: SVGSVGElement, scale = 2): Promise<Blob> {
  const url = URL.createObjectURL(new Blob([svgDocument(drawn)], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.width * scale;
    canvas.height = image.height * scale;
    const context = canvas.getContext("2d");
    if (context === null) throw new Error("This browser cannot draw a PNG.");
    context.fillStyle = getComputedStyle(drawn).getPropertyValue("--card");
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) => {
      canvas.toBlob(
        (blob) => (blob ? resolve(blob) : reject(new Error("This browser cannot write a PNG."))),
        "image/png",
      );
    });
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Hand a file to the person. */
export function download(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
