// An expression, as the real one.
(maxInFlight) => {
  return `${maxInFlight} in flight`;
}
