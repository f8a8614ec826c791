// Shows the description of the HTTP interface.
const place = document.getElementById("api");
SwaggerUIBundle({ url: place.dataset.description, domNode: place, deepLinking: true, validatorUrl: null });
