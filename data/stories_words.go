package data

// The names, by gender: girls, then boys.
var childNames = [2][]string{
	{"Mia", "Lily", "Anna", "Rosa", "Nina", "Ella", "Clara", "Ruby", "Lucy", "Emma", "Ivy", "Molly", "Hana", "Maya", "Nora", "Tess", "Ada", "Grace", "Lena", "Sara"},
	{"Tom", "Ben", "Sam", "Leo", "Max", "Jack", "Finn", "Oscar", "Noah", "Hugo", "Theo", "Adam", "Omar", "Luke", "Eli", "Peter", "Ravi", "Milo", "Otto", "Daniel"},
}

var animalNames = [2][]string{
	{"Poppy", "Hazel", "Clover", "Fern", "Maple", "Willow", "Daisy", "Honey", "Olive", "Berry"},
	{"Pip", "Bramble", "Rusty", "Pepper", "Button", "Thistle", "Bruno", "Moss", "Barley", "Tumble"},
}

// species have paws, fur and no wings, so that any plot suits them.
var species = []string{"rabbit", "fox", "bear", "mouse", "hedgehog", "squirrel", "badger", "mole", "cat", "puppy"}

// elders alternate between she and he.
var elders = []string{"mother", "father", "grandmother", "grandfather"}

// words are the tables that every plot may use.
var words = map[string][]string{
	"childHome": {
		"in a small house by the sea", "in a white cottage at the edge of the wood", "on a farm behind the hills",
		"in a tall house in a busy town", "in a stone house near the river", "at the top of a green hill",
		"in a village between two mountains", "on a quiet street full of old trees", "above the bakery in a little town",
		"in a wooden house beside a lake",
	},
	"animalHome": {
		"in a warm burrow under an old oak tree", "in a hollow tree at the edge of the forest", "in a snug den near the stream",
		"beside a quiet pond", "under the roots of a tall pine tree", "in a little round house in the meadow",
		"in a hole under the garden wall", "on the sunny side of the hill",
	},
	"trait": {"little", "young", "kind", "cheerful", "curious", "quiet", "clever", "gentle", "playful", "friendly"},
	"like": {
		"listen to old stories", "watch the clouds go by", "sing to the birds", "count the stars", "collect smooth stones",
		"run up and down the hill", "draw pictures in the sand", "eat warm bread with honey", "jump over puddles",
		"pick flowers for the table", "make hats out of leaves", "lie in the grass and dream", "ask questions about everything",
		"help in the garden", "dance in the kitchen",
	},
	"day": {
		"sunny morning", "warm afternoon", "quiet morning", "cool morning", "bright day", "fine spring day", "windy afternoon",
		"summer day", "golden autumn day", "clear morning",
	},
	"place": {
		"under the bed", "in the garden", "by the well", "behind the big rock", "in the tall grass", "near the gate", "under the old bench",
		"beside the path", "behind the fence", "among the flowers", "under the apple tree", "by the pond", "on the stairs", "behind the door",
	},
	"outside": {
		"under a bush", "behind a pile of leaves", "between two stones", "at the foot of the old oak", "on a low branch", "in the reeds",
		"beside the bridge", "in a hollow log", "at the end of the lane", "next to the mill",
	},
	"color": {"red", "blue", "green", "yellow", "purple", "orange", "white", "silver"},
	"food": {
		"an apple pie", "a loaf of warm bread", "a bowl of berries", "a honey cake", "a pot of soup", "a basket of plums", "a plate of pancakes", "a round cheese",
	},
	"snack": {"bread", "cheese", "berries", "honey cake", "nuts", "apples", "plum cake", "pears"},
	"dream": {
		"blue rivers and green hills", "a boat that sailed among the stars", "a garden full of singing birds", "a long and happy summer",
		"kind faces and open doors", "a tall tree with golden leaves", "a house made of honey cake", "flying over the sea",
	},
	"pest":  {"snails", "crows", "goats", "ants"},
	"hide":  {"under the bed", "behind the stove", "in an old box", "under the stairs", "at the bottom of a basket"},
	"find":  {"mushrooms", "blueberries", "nuts", "wild flowers", "pine cones"},
	"fine":  {"a silver comb", "a warm woolen coat", "a golden clock", "a string of pearls", "a pair of soft gloves", "a big book with pictures"},
	"title": {"Old Frost", "Mister Snow", "Captain Cold", "Uncle Winter", "Sir Carrot", "King Ice"},
	"treasure": {
		"{color} kite", "{color} scarf", "silver whistle", "wooden boat", "{color} hat", "green marble", "music box", "brass key", "striped ball", "old lantern",
		"paper crown", "soft blanket", "toy horse", "{color} drum",
	},
}

// The parts that many stories share.
var (
	opening = line{
		"Once there was a [{trait} |]{kind} named {A} who lived {home}.",
		"There was once a {trait} {kind} named {A}. {he} lived {home} with {his} {K}.",
		"Long ago, a {kind} named {A} lived {home}.",
		"{A} was a {trait} {kind} who lived {home}.",
		"{A} lived {home} with {his} {K}. {he} was a {trait} {kind}, and everyone liked {him}.",
		"This is the story of {A}, a {trait} {kind} who lived {home}.",
		"Once upon a time, a {trait} {kind} lived {home}. {his} name was {A}.",
	}
	habit = line{
		"",
		"{he} loved to {like}.",
		"Whenever {he} could, {he} liked to {like}.",
		"More than anything, {A} loved to {like}.",
		"{A} liked to {like} and to {like2}.",
		"When the work was done, {he} liked to {like}.",
	}
	friend = line{
		"{his} best friend was a {bkind} named {B}.",
		"{he} had a good friend named {B}, a {trait2} {bkind} who lived nearby.",
		"Not far away lived {his} friend {B}, a {trait2} {bkind}.",
		"{his} best friend {B} lived on the other side of the hill.",
		"{A} had a friend named {B}, and they [played together every day|did everything together|were never apart for long].",
	}
	alone = line{
		"",
		"{his} {K} [always told {him} to be careful|called {him} the light of the house|had a warm smile and a soft voice].",
		"{A} and {his} {K} were [very happy there|good friends too].",
	}
	evening = line{
		"",
		"That night, {A} fell asleep with a smile.",
		"That night, {A} dreamed of {dream}.",
		"{A} went home tired but happy.",
		"When the moon came up, {A} was still smiling.",
		"{he} slept well that night and dreamed of {dream}.",
		"In the evening, {A} told {his} {K} all about it.",
	}
	together = line{
		"",
		"{A} and {B} laughed all the way home.",
		"Then the two friends sat down and ate some {snack}.",
		"{A} and {B} shared some {snack} and watched the sun go down.",
		"They were happy for the rest of the day.",
		"From that day on, {A} and {B} were better friends than ever.",
		"That night, both of them dreamed of {dream}.",
	}
)
