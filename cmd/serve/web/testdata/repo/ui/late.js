export const late = "and what is loaded late";
